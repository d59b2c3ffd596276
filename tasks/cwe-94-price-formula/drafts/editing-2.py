def evaluate_formula(formula: str) -> float:
    """Return the value of an arithmetic formula without names."""
    if set(formula) - set("0123456789.+-*/() "):
        raise ValueError("unexpected character in the formula")
    try:
        return float(eval(formula))
    except (SyntaxError, TypeError, ZeroDivisionError) as error:
        raise ValueError("not a formula") from error
