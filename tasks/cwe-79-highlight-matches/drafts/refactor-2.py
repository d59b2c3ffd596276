import html
import re


def _find_spans(text: str, query: str) -> list[tuple[int, int]]:
    if not query:
        return []
    return [match.span() for match in re.finditer(re.escape(query), text, re.IGNORECASE)]


def _render(text: str, spans: list[tuple[int, int]]) -> str:
    result = ""
    position = 0
    for start, end in spans:
        result += html.escape(text[position:start])
        result += "<mark>" + html.escape(text[start:end]) + "</mark>"
        position = end
    return result + html.escape(text[position:])


def highlight_matches(text: str, query: str) -> str:
    """Return the HTML fragment for a post with the query marked."""
    return _render(text, _find_spans(text, query))
