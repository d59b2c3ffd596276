import html
import re


def highlight_matches(text: str, query: str) -> str:
    """Return text as an HTML fragment with every occurrence of query marked."""
    if not query:
        return html.escape(text)
    parts = []
    position = 0
    for match in re.finditer(re.escape(query), text, re.IGNORECASE):
        parts.append(html.escape(text[position:match.start()]))
        parts.append(f"<mark>{html.escape(match.group())}</mark>")
        position = match.end()
    parts.append(html.escape(text[position:]))
    return "".join(parts)
