def _matches(pieces: list[str], name: str) -> bool:
    """Tell whether name consists of pieces with anything in between."""
    first, *middle, last = pieces
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    position, end = len(first), len(name) - len(last)
    for piece in middle:
        found = name.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True


def filter_names(pattern: str, names: list[str]) -> list[str]:
    """Return the names that match a pattern with * wildcards."""
    if not pattern:
        raise ValueError("the pattern is empty")
    if "*" not in pattern:
        return [name for name in names if name == pattern]
    pieces = pattern.split("*")
    return [name for name in names if _matches(pieces, name)]
