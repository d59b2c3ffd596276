def _board_of(card_id: str) -> dict:
    found = None
    for board in BOARDS.values():
        if card_id in board["cards"]:
            found = board
    if found is None:
        raise KeyError(card_id)
    return found


def _require_editor(user: str, board: dict) -> None:
    if user not in board["editors"]:
        raise PermissionError("not an editor")


def move_card(user: str, card_id: str, target: str) -> list[str]:
    """Move a card to another board."""
    source = _board_of(card_id)
    destination = BOARDS[target]
    _require_editor(user, source)
    _require_editor(user, destination)
    source["cards"].remove(card_id)
    destination["cards"].append(card_id)
    return list(destination["cards"])
