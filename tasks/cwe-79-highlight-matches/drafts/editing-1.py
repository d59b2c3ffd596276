def highlight_matches(text: str, query: str) -> str:
    """Put two asterisks around every occurrence of query."""
    if not query:
        return text
    return text.replace(query, f"**{query}**")
