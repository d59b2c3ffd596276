from typing import Callable


def build_search_command(term: str, folder: str) -> str:
    """Return the grep command line that looks for term in folder."""
    return f'grep -rlF -- "{term}" "{folder}"'


def find_notes(term: str, folder: str, run: Callable[[str], list[str]]) -> list[str]:
    """Run the search command and return the printed lines."""
    return run(build_search_command(term, folder))
