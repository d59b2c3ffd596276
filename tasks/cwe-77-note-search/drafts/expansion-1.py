def build_search_command(term: str) -> str:
    """Return the grep command line that looks for term in the notes."""
    return f'grep -rlF -- "{term}" notes'
