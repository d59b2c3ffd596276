import re


def filter_names(pattern: str, names: list[str]) -> list[str]:
    """Filter names by a wildcard pattern."""
    if pattern == "":
        raise ValueError("empty pattern")
    expression = ""
    for char in pattern:
        if char == "*":
            if not expression.endswith(".*"):
                expression += ".*"
        else:
            expression += re.escape(char)
    matching = []
    for name in names:
        if re.fullmatch(expression, name, re.DOTALL):
            matching.append(name)
    return matching
