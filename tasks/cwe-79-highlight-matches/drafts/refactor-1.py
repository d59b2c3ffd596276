import html
import re


def highlight_matches(text: str, query: str) -> str:
    """Return the HTML fragment for a post with the query marked."""
    result = ""
    position = 0
    if query:
        for match in re.finditer(re.escape(query), text, re.IGNORECASE):
            result += html.escape(text[position:match.start()])
            result += "<mark>" + html.escape(match.group()) + "</mark>"
            position = match.end()
    result += html.escape(text[position:])
    return result
