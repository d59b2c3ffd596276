def move_card(user: str, card_id: str, target: str) -> list[str]:
    """Move a card to the end of the target board and return the cards there."""
    source = next((name for name, board in BOARDS.items() if card_id in board["cards"]), None)
    if source is None:
        raise KeyError(card_id)
    receiving = BOARDS[target]
    for board in (BOARDS[source], receiving):
        if user not in board["editors"]:
            raise PermissionError(f"{user} may not change this board")
    BOARDS[source]["cards"].remove(card_id)
    receiving["cards"].append(card_id)
    return list(receiving["cards"])
