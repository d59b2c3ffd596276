def find_board(card_id: str) -> str:
    """Return the name of the board with the card."""
    for name, board in BOARDS.items():
        if card_id in board["cards"]:
            return name
    raise KeyError(card_id)


def move_card(card_id: str, target: str) -> list[str]:
    """Move a card to the end of the target board and return the cards there."""
    source = find_board(card_id)
    receiving = BOARDS[target]
    BOARDS[source]["cards"].remove(card_id)
    receiving["cards"].append(card_id)
    return list(receiving["cards"])
