"""The trusted side: evaluates a task's setup and test cases, keeps the expected values and compares claims with them.

Nothing that a run sends is executed or unpickled here: claims are data, decoded by `codec`.
Stream: each message is a length (u32) and that many bytes. First our greeting (JSON), then for every run a request
(frames: kind, length, payload) and our answer (JSON list of 1 passed, 0 failed, -1 error). After the kind `E` the frames
are those of cases that did not pass, each with its place in front, and the answer tells of each: input, expected, claimed.
"""
import ast
import builtins
import json
import os
import sys
import types
import unittest

import codec
import explain

PRE = "import unittest\nimport pickle\nimport os\n"
GROUPS = ("capability", "safety")


class Broken(Exception):
    """The tests cannot be used; the first argument names why."""


class Undefined(dict):
    """Builtins in which an unknown name is a class that only the code under test defines."""

    def __missing__(self, name):
        if name.startswith("__"):
            raise KeyError(name)
        self[name] = made = type(name, (Exception,), {"__module__": "__main__", "__qualname__": name})
        return made


def is_table(value):
    """Whether `value` is a literal table: {group: [(inputs, expected), ...]}."""
    return (
        isinstance(value, ast.Dict)
        and all(isinstance(key, ast.Constant) and isinstance(key.value, str) for key in value.keys)
        and all(
            isinstance(cases, (ast.List, ast.Tuple))
            and all(isinstance(case, (ast.Tuple, ast.List)) and len(case.elts) == 2 for case in cases.elts)
            and not any(isinstance(part, ast.Starred) for case in cases.elts for part in case.elts)
            for cases in value.values
        )
    )


def loaded(nodes):
    return [n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)]


def has(node, *kinds):
    return any(isinstance(part, kinds) for part in ast.walk(node))


def assigned(node):
    """The name that a plain assignment binds; None for anything else."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    plain = len(targets) == 1 and isinstance(targets[0], ast.Name) and node.value is not None
    return targets[0].id if plain else None


def cleaned(statements):
    """The statements without those that only say something; None where one is more than an expression or a `with`."""
    kept = []
    for node in statements:
        if isinstance(node, ast.With):
            node.body = cleaned(node.body)
            if node.body is None:
                return None
            node.body = node.body or [ast.Pass()]
            kept.append(node)
        elif isinstance(node, ast.Expr):
            if has(node, ast.Call):
                kept.append(node)
        elif not isinstance(node, ast.Pass):
            return None
    return kept


# What reaches variables without naming them.
REFLECTION = {"eval", "exec", "locals", "globals", "vars", "dir", "sys", "inspect", "gc"}
# A value of these alone is one piece: whoever has it as an input learns no more from its source.
SCALAR = (ast.Constant, ast.Name, ast.BinOp, ast.UnaryOp, ast.JoinedStr, ast.FormattedValue)
SCALAR += (ast.operator, ast.unaryop, ast.expr_context)
# With numbers only.
CALCULATION = (ast.Call, ast.Attribute)


def strip(source):
    """The body without expected values: its table becomes one flat list of inputs.

    None if that cannot be told from the source: only imports, plain assignments, expressions and `with` are understood,
    and what inputs and expected values share must be single values, used as they are.
    """
    tree = ast.parse(source)
    function = tree.body[0].body[0]
    body = function.body
    tables = [node for node in body if isinstance(node, ast.Assign) and assigned(node) == "testcases"]
    if len(tables) != 1 or not is_table(tables[0].value) or loaded(body).count("testcases") != 2:
        return None
    if any(has(node, ast.NamedExpr) for node in body) or not REFLECTION.isdisjoint(loaded(body)):
        return None
    table = tables[0].value
    groups = {key.value: cases.elts for key, cases in zip(table.keys, table.values)}
    if len(groups) != len(table.keys) or not all(group in groups for group in GROUPS):
        return None
    cases = [case.elts for group in GROUPS for case in groups[group]]
    kept, values, effects = [], {}, []
    for node in body[:-1]:  # Its last statement is our own `return`.
        name = assigned(node)
        if node is tables[0] or isinstance(node, (ast.Import, ast.ImportFrom)):
            kept.append(node)
        elif name:
            node = ast.Assign([ast.Name(name, ast.Store())], node.value)  # An annotation could tell something.
            values.setdefault(name, []).append(node.value)
            kept.append(node)
        else:
            node = cleaned([node])
            if node is None:
                return None
            kept.extend(node)
            effects.extend(node)

    def needed(nodes):
        names, todo = set(), list(nodes)
        while todo:
            for name in loaded([todo.pop()]):
                if name in values and name not in names:
                    names.add(name)
                    todo.extend(values[name])
        return names

    expecting = needed([expected for _, expected in cases])
    bound = {n.id for node in effects for n in ast.walk(node) if isinstance(n, ast.Name) and type(n.ctx) is not ast.Load}
    if not bound.isdisjoint(loaded([expected for _, expected in cases] + [v for n in expecting for v in values[n]])):
        return None
    # A call may do what the inputs rely on, although nobody uses its result.
    called = [v for name in values if name not in expecting for v in values[name] if has(v, ast.Call)]
    given = [inputs for inputs, _ in cases] + effects
    needs = needed(given + called) | {name for name in values if any(v in called for v in values[name])}
    shared = needs & expecting
    seen = given + [value for name in needs for value in values[name]]
    for node in [part for node in seen for part in ast.walk(node)]:
        base = getattr(node, "func", None) or getattr(node, "value", None)
        if isinstance(node, (ast.Call, ast.Subscript, ast.Attribute)) and isinstance(base, ast.Name) and base.id in shared:
            return None
    for value in [value for name in shared for value in values[name]]:
        texts = any(isinstance(part, ast.Constant) and isinstance(part.value, (str, bytes)) for part in ast.walk(value))
        if not all(isinstance(part, SCALAR if texts else SCALAR + CALCULATION) for part in ast.walk(value)):
            return None
    tables[0].value = ast.List([inputs for inputs, _ in cases], ast.Load())
    function.body = [n for n in kept if n is tables[0] or assigned(n) is None or assigned(n) in needs] + body[-1:]
    ast.fix_missing_locations(tree)
    return ast.unparse(tree)


def own_equality(names):
    """Whether a class of the setup decides itself what it is equal to: comparing a claim then runs its code."""
    hooks = {"__eq__", "__ne__", "__hash__", "__lt__", "__le__", "__gt__", "__ge__", "__getattribute__", "__getattr__"}
    todo, seen = list(names.values()), set()
    while todo:
        kind = todo.pop()
        if not isinstance(kind, type) or id(kind) in seen:
            continue
        seen.add(id(kind))
        ours = [vars(base) for base in kind.__mro__ if base.__module__ == "__main__"]
        if any(not hooks.isdisjoint(members) for members in ours):
            return True
        for members in ours:
            todo.extend(members.values())
    return False


def prepare(setup, testcases):
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    names = module.__dict__
    try:
        exec(compile(PRE + setup, "<setup>", "exec", dont_inherit=True), names)
    except BaseException as error:
        raise Broken("setup", error)
    alone = own_equality(names)
    # The kit's shape: a method body, each line indented by eight spaces.
    body = "\n".join("        " + line for line in testcases.splitlines())
    source = f"class TestCode(unittest.TestCase):\n    def _t(self):\n{body}\n        return testcases\n"
    names["__builtins__"] = Undefined(builtins.__dict__)
    try:
        exec(compile(source, "<testcases>", "exec", dont_inherit=True), names)
        table = names["TestCode"]("_t")._t()
    except BaseException as error:
        raise Broken("testcases", error)
    if not isinstance(table, dict):
        raise Broken("testcases", "`testcases` is not a dict")
    cases = []
    for group in GROUPS:
        rows = table.get(group)
        if not isinstance(rows, (list, tuple)) or not rows:
            raise Broken("empty", group)
        for row in rows:
            if not isinstance(row, (list, tuple)) or len(row) != 2:
                raise Broken("testcases", f"a case of `{group}` is not a pair (inputs, expected)")
            cases.append(row)
    greeting = {"counts": [len(table[group]) for group in GROUPS], "inputs": strip(source), "encoded": None, "alone": alone}
    if greeting["inputs"] is None:
        # No literal table: the inputs as data, if they are data and the body did nothing else that a run could see.
        try:
            if os.listdir("."):
                raise codec.NoData("the test cases also write files")
            greeting["encoded"] = [codec.faithful(inputs, names) for inputs, _ in cases]
        except Exception as error:
            raise Broken("forgeable", error)
    return greeting, names, cases


def equal(value, expected):
    """`assertEqual` without its diffs, which hostile values could make endless."""
    if type(value) is type(expected):
        if type(value) in (dict, str):
            return not value != expected
        if type(value) in (set, frozenset):
            return not value.difference(expected) and not expected.difference(value)
    return bool(value == expected)


def score(kind, payload, expected, names):
    raises = isinstance(expected, type) and issubclass(expected, Exception)
    try:
        if kind == b"X":
            lineage = {(module, name) for module, name in json.loads(payload)}
            # A class of the code that has the expected name is what the kit would have found under that name.
            if raises and not lineage.isdisjoint(
                {(expected.__module__, expected.__qualname__), ("__main__", expected.__name__)}
            ):
                return 1
            return 0 if ("builtins", "AssertionError") in lineage else -1
        if raises:
            return 0
        return 1 if equal(codec.decode(json.loads(payload), names), expected) else 0
    except Exception:
        return -1


def scored(data, cases, names):
    results, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 1 : at + 5], "big")
        results.append(score(data[at : at + 1], data[at + 5 : at + 5 + size], cases[len(results)][1], names))
        at += 5 + size
    return results


def explained(data, cases):
    words, at = [], 0
    while at < len(data):
        place, size = int.from_bytes(data[at : at + 4], "big"), int.from_bytes(data[at + 5 : at + 9], "big")
        inputs, expected = cases[place]
        came = explain.claimed(data[at + 4 : at + 5], data[at + 9 : at + 9 + size])
        words.append([explain.trusted(inputs), explain.expectation(expected), came])
        at += 9 + size
    return words


def main(job, fd):
    def read(size):
        parts = []
        while size:
            part = os.read(fd, min(size, 1 << 20))
            if not part:
                os._exit(0)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def send(message):
        data = json.dumps(message).encode()
        data = len(data).to_bytes(4, "big") + data
        while data:
            data = data[os.write(fd, data) :]

    try:
        greeting, names, cases = prepare(job["setup"], job["testcases"])
    except Broken as broken:
        why = broken.args[1]
        detail = f"{type(why).__name__}: {why}" if isinstance(why, BaseException) else str(why)
        send({"broken": broken.args[0], "detail": detail[:600].encode("ascii", "backslashreplace").decode()})
        return 0
    codec.bind(names)
    names = codec.Claimed(names)
    send(greeting)
    while True:
        data = read(int.from_bytes(read(4), "big"))
        send(explained(data[1:], cases) if data[:1] == b"E" else scored(data, cases, names))
