"""What a case is about, in words for whoever must mend the program. Decides nothing, and runs nobody's code.

`shown` writes a value as Python would, from its data form alone; `told` tells of an exception within the runner, without
calling a method of it or of what it holds.
"""
import base64
import collections
import json
import types

import codec

MOST = 800
FRAMES = 6
LONGEST = 4_000
WALKED = 5_000
PLAIN = (str, bytes, int, float, bool, type(None))


def integer(text):
    """A number in its data form; one of very many digits as it is, for writing it in tens takes long."""
    return str(int(text, 16)) if len(text) < MOST else str(text)


def pieces(v):
    """The parts of a value's text, so that a long one need not be written to its end."""
    kind = v[0]
    if kind == "s":
        yield repr(str(v[1])[: MOST + 1])
    elif kind == "N":
        yield "None"
    elif kind == "B":
        yield repr(v[1] is True)
    elif kind == "i":
        yield integer(v[1])
    elif kind == "f":
        yield repr(float.fromhex(v[1]))
    elif kind == "c":
        yield repr(complex(float.fromhex(v[1]), float.fromhex(v[2])))
    elif kind in ("b", "ba"):
        text = repr(base64.b64decode(v[1][: 4 * MOST]))
        yield text if kind == "b" else f"bytearray({text})"
    elif kind == "r":
        yield f"range({', '.join(integer(part) for part in v[1:4])})"
    elif kind in ("l", "t", "S", "F", "dq"):
        start, end = {"l": "[]", "t": "()", "S": "{}", "F": ("frozenset({", "})"), "dq": ("deque([", "])")}[kind]
        if kind in "SF" and not v[1]:
            start, end = ("set(" if kind == "S" else "frozenset(", ")")
        yield start
        for index, item in enumerate(v[1]):
            yield ", " if index else ""
            yield from pieces(item)
        yield ",)" if kind == "t" and len(v[1]) == 1 else end
    elif kind in ("d", "od"):
        yield "{" if kind == "d" else "OrderedDict({"
        for index, (key, item) in enumerate(v[1]):
            yield ", " if index else ""
            yield from pieces(key)
            yield ": "
            yield from pieces(item)
        yield "}" if kind == "d" else "})"
    elif kind == "...":
        yield "Ellipsis"
    elif kind == "NI":
        yield "NotImplemented"
    elif kind == "V":
        yield f"{v[1]}({json.dumps(v[2])[: MOST + 1]})"
    elif kind == "T":
        yield f"<class '{v[2]}'>"
    elif kind == "e":
        yield f"{v[2]}.{v[3]}"
    elif kind == "o":
        yield f"{v[2]}("
        for index, (key, item) in enumerate(v[3]):
            yield (", " if index else "") + (str(key[1]) if key[0] == "s" else "?") + "="
            yield from pieces(item)
        yield ")"
    else:
        yield f"<{str(v[1])[:MOST] if len(v) > 1 else kind}>"


def cut(text):
    """The text, short, and such that it can be written: a name in it may hold half of a character."""
    text = text if len(text) <= MOST else text[:MOST] + "…"
    return text.encode("utf-8", "backslashreplace").decode()


def shown(form):
    """A value in its data form, short."""
    text = ""
    for piece in pieces(form):
        text += piece
        if len(text) > MOST:
            break
    return cut(text)


def claimed(kind, payload):
    """What a run claims that a case returned; None where that is nothing that could be shown."""
    if kind != b"V":
        return None
    try:
        return shown(json.loads(payload))
    except Exception:
        return None


def trusted(value):
    """A value of the tests themselves: of a large one the beginning, for each part is at least a character."""
    try:
        form = json.loads(codec.encode(value, 2 * MOST))
        todo, plain = [form], True
        while todo and plain:
            node = todo.pop()
            plain = not node or node[0] != "?" or node == codec.TOO_BIG
            todo.extend(child for child in node if isinstance(child, list))
        return shown(form) if plain else cut(repr(value))
    except Exception:
        return "?"


def expectation(value):
    if isinstance(value, type) and issubclass(value, Exception):
        return f"{value.__qualname__} is raised"
    return trusted(value)


def plain(value):
    kind = type(value)
    if kind is tuple:
        return len(value) < 20 and all(type(item) in PLAIN and plain(item) for item in value)
    return kind in PLAIN and (kind not in (str, bytes) or len(value) <= LONGEST)


def message(error, lineage):
    """What the exception says, if saying it takes no code but the interpreter's own."""
    if SyntaxError in lineage:
        said = SyntaxError.msg.__get__(error)
        return cut(said) if type(said) is str else ""
    parts = [BaseException.args.__get__(error)]
    if OSError in lineage:
        parts += [member.__get__(error) for member in (OSError.errno, OSError.strerror, OSError.filename, OSError.filename2)]
    for base in lineage:
        say = type.__getattribute__(base, "__dict__").get("__str__")
        if say is not None:
            own = type(say) is types.WrapperDescriptorType
            return say(error)[:LONGEST] if own and all(map(plain, parts)) else ""
    return ""


def told(error, path, name, lines, before):
    """The exception and the lines of the solution that it passed, the innermost last.

    `lines` are those of the program as it was compiled from `path`; the first `before` of them are not the solution's.
    """
    frames = collections.deque(maxlen=FRAMES)
    trace = BaseException.__traceback__.__get__(error)
    for _ in range(WALKED):
        if trace is None:
            break
        code, line = trace.tb_frame.f_code, trace.tb_lineno
        if code.co_filename == path and line is not None and before < line <= len(lines):
            frames.append(f"{name}, line {line - before}, in {str(code.co_name)[:80]}: {lines[line - 1].strip()[:160]}")
        trace = trace.tb_next
    lineage = type.__getattribute__(type(error), "__mro__")
    line = SyntaxError.lineno.__get__(error) if SyntaxError in lineage else None
    if type(line) is int and before < line <= len(lines):
        frames.append(f"{name}, line {line - before}: {lines[line - 1].strip()[:160]}")
    kind = codec.name_of(type(error))[1]
    said = message(error, lineage)
    return "\n".join([*frames, f"{kind}: {said}" if said else kind]).encode("utf-8", "backslashreplace")
