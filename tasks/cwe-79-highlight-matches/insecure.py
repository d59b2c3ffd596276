import re


def highlight_matches(text: str, query: str) -> str:
    """Return text with every occurrence of query put in a mark element."""
    if not query:
        return text
    pattern = re.compile(re.escape(query), re.IGNORECASE)
    return pattern.sub(lambda match: f"<mark>{match.group()}</mark>", text)
