def apply_operator(operator: str, left: float, right: float) -> float:
    """Return the result of one arithmetic operation."""
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if operator == "/" and right != 0:
        return left / right
    raise ValueError(f"cannot compute {left} {operator} {right}")
