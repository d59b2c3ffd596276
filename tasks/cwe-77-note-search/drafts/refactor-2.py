import shlex
from typing import Callable


def _search_command(term: str, folder: str) -> str:
    return "grep -rlF -- " + shlex.quote(term) + " " + shlex.quote(folder)


def find_notes(term: str, folder: str, run: Callable[[str], list[str]]) -> list[str]:
    """Search the notes in folder for term."""
    if not term.strip():
        raise ValueError("term must not be blank")
    return run(_search_command(term, folder))
