def move_card(user: str, card_id: str, target: str) -> list[str]:
    """Move a card to another board."""
    source = None
    for board in BOARDS.values():
        if card_id in board["cards"]:
            source = board
    if source is None or target not in BOARDS:
        raise KeyError("no such card or board")
    if user not in source["editors"]:
        raise PermissionError("not an editor")
    if user not in BOARDS[target]["editors"]:
        raise PermissionError("not an editor")
    source["cards"].remove(card_id)
    BOARDS[target]["cards"].append(card_id)
    return list(BOARDS[target]["cards"])
