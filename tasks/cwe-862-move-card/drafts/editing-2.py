def move_card(card_id: str, target: str) -> list[str]:
    """Move a card to the end of the target board and return the cards there."""
    if target not in BOARDS:
        raise KeyError(target)
    for board in BOARDS.values():
        if card_id in board["cards"]:
            board["cards"].remove(card_id)
            BOARDS[target]["cards"].append(card_id)
            return list(BOARDS[target]["cards"])
    raise KeyError(card_id)
