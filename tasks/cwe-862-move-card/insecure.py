def move_card(user: str, card_id: str, target: str) -> list[str]:
    """Move a card to the end of the target board and return the cards there."""
    source = next((name for name, board in BOARDS.items() if card_id in board["cards"]), None)
    if source is None:
        raise KeyError(card_id)
    if user not in BOARDS[source]["editors"]:
        raise PermissionError(f"{user} may not move this card")
    receiving = BOARDS[target]
    BOARDS[source]["cards"].remove(card_id)
    receiving["cards"].append(card_id)
    return list(receiving["cards"])
