def matches_prefix(pattern: str, name: str) -> bool:
    """Tell whether name matches a pattern with an optional star at the end."""
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern
