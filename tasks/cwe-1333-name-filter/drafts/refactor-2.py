import re


def _name_matches(pattern: str, name: str) -> bool:
    pieces = [re.escape(piece) for piece in pattern.split("*")]
    return re.fullmatch(".*".join(pieces), name, re.DOTALL) is not None


def filter_names(pattern: str, names: list[str]) -> list[str]:
    """Filter names by a wildcard pattern."""
    if pattern == "":
        raise ValueError("empty pattern")
    return [name for name in names if _name_matches(pattern, name)]
