from typing import Callable


def find_notes(term: str, run: Callable[[str], list[str]]) -> list[str]:
    """Return the lines printed by grep for term in the notes folder."""
    return run(f"grep -rl '{term}' notes")
