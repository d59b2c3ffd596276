def move_card(card_id: str, source: str, target: str) -> None:
    """Move a card from one board to the end of another."""
    BOARDS[source]["cards"].remove(card_id)
    BOARDS[target]["cards"].append(card_id)
