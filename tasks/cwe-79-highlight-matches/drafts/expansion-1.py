import re


def find_matches(text: str, query: str) -> list[tuple[int, int]]:
    """Return start and end of every occurrence of query, ignoring case."""
    if not query:
        return []
    return [match.span() for match in re.finditer(re.escape(query), text, re.IGNORECASE)]
