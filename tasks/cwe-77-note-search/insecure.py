from typing import Callable


def find_notes(term: str, folder: str, run: Callable[[str], list[str]]) -> list[str]:
    """Return the lines printed by a fixed-string grep for term in folder."""
    if not term.strip():
        raise ValueError("the search term is empty")
    return run(f"grep -rlF -- '{term}' '{folder}'")
