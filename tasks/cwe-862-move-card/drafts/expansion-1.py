def find_board(card_id: str) -> str:
    """Return the name of the board with the card."""
    for name, board in BOARDS.items():
        if card_id in board["cards"]:
            return name
    raise KeyError(card_id)
