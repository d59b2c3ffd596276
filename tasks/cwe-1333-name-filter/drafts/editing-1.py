def filter_names(pattern: str, names: list[str]) -> list[str]:
    """Return the names that contain the pattern."""
    if not pattern:
        raise ValueError("the pattern is empty")
    return [name for name in names if pattern in name]
