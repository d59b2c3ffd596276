import re


def filter_names(pattern: str, names: list[str]) -> list[str]:
    """Return the names that match a pattern with * wildcards."""
    if not pattern:
        raise ValueError("the pattern is empty")
    regex = re.compile(pattern.replace(".", r"\.").replace("*", ".*"))
    return [name for name in names if regex.fullmatch(name)]
