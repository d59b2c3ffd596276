def evaluate_formula(formula: str, variables: dict[str, float]) -> float:
    """Return the value of an arithmetic formula."""
    try:
        value = eval(formula, {}, dict(variables))
    except (SyntaxError, NameError, TypeError, ZeroDivisionError) as error:
        raise ValueError(f"cannot evaluate the formula: {error}") from error
    if not isinstance(value, (int, float)):
        raise ValueError("the formula does not give a number")
    return float(value)
