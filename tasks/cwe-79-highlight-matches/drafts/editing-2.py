import re


def highlight_matches(text: str, query: str) -> str:
    """Put mark tags around every occurrence of query, ignoring case."""
    return re.sub(re.escape(query), r"<mark>\g<0></mark>", text, flags=re.IGNORECASE)
