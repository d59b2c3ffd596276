def evaluate_formula(formula: str) -> float:
    """Return the value of a sum such as 3 + 4.5 + 1."""
    return sum(float(part) for part in formula.split("+"))
