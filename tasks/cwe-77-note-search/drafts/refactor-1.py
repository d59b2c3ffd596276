import shlex
from typing import Callable


def find_notes(term: str, folder: str, run: Callable[[str], list[str]]) -> list[str]:
    """Search the notes in folder for term."""
    if term.strip() == "":
        raise ValueError("term must not be blank")
    command = "grep -rlF -- " + shlex.quote(term) + " " + shlex.quote(folder)
    lines = run(command)
    return lines
