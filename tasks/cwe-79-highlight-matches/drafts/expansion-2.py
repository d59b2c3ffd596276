import re


def find_matches(text: str, query: str) -> list[tuple[int, int]]:
    """Return start and end of every occurrence of query, ignoring case."""
    if not query:
        return []
    return [match.span() for match in re.finditer(re.escape(query), text, re.IGNORECASE)]


def highlight_matches(text: str, query: str) -> str:
    """Put every occurrence of query between mark tags."""
    result = ""
    position = 0
    for start, end in find_matches(text, query):
        result += text[position:start] + "<mark>" + text[start:end] + "</mark>"
        position = end
    return result + text[position:]
