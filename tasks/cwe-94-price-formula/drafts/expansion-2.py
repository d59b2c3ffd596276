import ast

_SYMBOLS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


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


def _walk(node: ast.AST) -> float:
    if isinstance(node, ast.BinOp):
        symbol = _SYMBOLS.get(type(node.op), "?")
        return apply_operator(symbol, _walk(node.left), _walk(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_walk(node.operand)
    if isinstance(node, ast.Constant):
        return float(node.value)
    raise ValueError("not a formula")


def evaluate_formula(formula: str) -> float:
    """Return the value of an arithmetic formula without names."""
    return _walk(ast.parse(formula, mode="eval").body)
