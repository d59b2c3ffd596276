def matches_prefix(pattern: str, name: str) -> bool:
    """Tell whether name matches a pattern with an optional star at the end."""
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern


def filter_names(pattern: str, names: list[str]) -> list[str]:
    """Return the names that match the pattern."""
    return [name for name in names if matches_prefix(pattern, name)]
