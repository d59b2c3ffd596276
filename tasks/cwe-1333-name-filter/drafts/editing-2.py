def filter_names(pattern: str, names: list[str]) -> list[str]:
    """Return the names that match a pattern with an optional star at the end."""
    if not pattern:
        raise ValueError("the pattern is empty")
    if pattern.endswith("*"):
        return [name for name in names if name.startswith(pattern[:-1])]
    return [name for name in names if name == pattern]
