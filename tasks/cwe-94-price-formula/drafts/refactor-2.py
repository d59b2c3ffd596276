import ast


def _parse(formula: str) -> ast.expr:
    try:
        return ast.parse(formula, mode="eval").body
    except SyntaxError as error:
        raise ValueError("not a formula") from error


def _compute(node: ast.expr, variables: dict[str, float]) -> float:
    if isinstance(node, ast.BinOp):
        left, right = _compute(node.left, variables), _compute(node.right, variables)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Div) and right != 0:
            return left / right
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_compute(node.operand, variables)
    elif isinstance(node, ast.Name) and node.id in variables:
        return float(variables[node.id])
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return float(node.value)
    raise ValueError("not a formula")


def evaluate_formula(formula: str, variables: dict[str, float]) -> float:
    """Return the value of a price formula."""
    return _compute(_parse(formula), variables)
