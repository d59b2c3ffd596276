"""Values as data: encoded by the untrusted runner, decoded by the judge. Never pickles, never evaluates.

A value is a JSON list whose first item is its kind. What has no data form is opaque: equal to nothing but an expected
value that accepts anything (such as `mock.ANY`). A subclass of a builtin type that keeps the builtin equality travels
as its base value; one that brings its own `__eq__` does not, unless the task's setup defines the class: the code under
test must not decide what is equal.

The judge decodes claims so that nothing in them can be called: the `__eq__` of a setup class may call what it finds in
attributes. A class or builtin function is an inert stand-in there, and an instance with an attribute in place of one
of its methods is opaque.
"""
import array
import base64
import builtins
import collections
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import itertools
import json
import pathlib
import re
import sys
import types
import uuid

MAX_DEPTH = 200
MAX_NODES = 2_000_000
TOO_BIG = ["?", "too big"]
# Some constructors take more than linear time in the length of their text.
MAX_TEXT = 20_000

_builtins = dict(vars(builtins))
_names = {}
_modules = sys.modules


class NoData(Exception):
    """The value cannot be told as data."""


class Opaque:
    """A value without a data form."""

    def __init__(self, kind):
        self.kind = kind


class Inert:
    """A claimed class or builtin function: equal to that one, and good for nothing else."""

    __slots__ = ("_of",)

    def __init__(self, of):
        self._of = of

    def __eq__(self, other):
        return other is self._of or (type(other) is Inert and other._of is self._of)

    def __hash__(self):
        return type.__hash__(self._of) if isinstance(self._of, type) else hash(self._of)


class Claimed(dict):
    """The namespace that marks what is decoded with it as a claim."""


def bind(names):
    """Names the namespace that stands for `__main__`."""
    global _names
    _names = names


def find(module, qualname, names):
    """The class of that name, looked up without running anybody's code; None if there is none."""
    if module == "__main__":
        holder = names
    elif module == "builtins":
        holder = _builtins
    else:
        holder = vars(_modules[module]) if module in _modules else {}
    found = None
    for part in qualname.split("."):
        found = holder.get(part)
        if not isinstance(found, type):
            return None
        holder = type.__getattribute__(found, "__dict__")
    return found


def name_of(kind):
    """Module and qualified name, if they really lead to the class; a class that only pretends has no module."""
    module, name = kind.__module__, kind.__qualname__
    if type(module) is str and type(name) is str and find(module, name, _names) is kind:
        return [module, name]
    return ["?", str(name)[:100]]


def lineage(kind):
    """The names of the class and its bases, as JSON."""
    return json.dumps([name_of(base) for base in type.__getattribute__(kind, "__mro__")]).encode()


def own_equality(kind):
    """Whether a class outside the standard types defines `__eq__`."""
    return any("__eq__" in vars(base) for base in kind.__mro__ if base.__module__ not in _STANDARD)


def is_scalar(kind):
    """Whether a class is one of NumPy's scalars, which compare like the plain number or text that they hold."""
    generic = getattr(_modules.get("numpy"), "generic", None)
    return isinstance(generic, type) and issubclass(kind, generic)


_SCALARS = (bool, int, float, complex, str, bytes)
_STANDARD = ("builtins", "collections", "_collections", "enum")
_BASES = (
    (bool, bool),
    (int, lambda v: int.__add__(v, 0)),
    (float, lambda v: float.__add__(v, 0.0)),
    (str, lambda v: "".join(str.__iter__(v))),
    (bytes, lambda v: bytes.__getitem__(v, slice(None))),
    (bytearray, lambda v: bytearray(bytes(memoryview(v)))),
    (list, lambda v: list(list.__iter__(v))),
    (tuple, lambda v: tuple(tuple.__iter__(v))),
    (dict, lambda v: dict(dict.items(v))),
    (set, lambda v: set(set.__iter__(v))),
    (frozenset, lambda v: set(frozenset.__iter__(v))),
)
_PATHS = ("PosixPath", "PurePosixPath", "PureWindowsPath")
_ADDRESSES = (
    ("IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network", "IPv4Interface", "IPv6Interface")
)
_FUNCTIONS = {id(value): name for name, value in _builtins.items() if isinstance(value, types.BuiltinFunctionType)}


class _Encoder:
    def __init__(self, most=MAX_NODES):
        self.left = most

    def first(self, values):
        """As many of them as there may be, and one more, which tells that there are more."""
        return values if len(values) <= self.left else itertools.islice(values, max(self.left, 0) + 1)

    def items(self, values, depth):
        return [self.value(value, depth + 1) for value in self.first(values)]

    def pairs(self, mapping, depth):
        pairs = self.first(dict.items(mapping))
        return [[self.value(key, depth + 1), self.value(value, depth + 1)] for key, value in pairs]

    def value(self, o, depth):
        self.left -= 1
        if depth > MAX_DEPTH or self.left < 0:
            return TOO_BIG
        t = type(o)
        if o is None:
            return ["N"]
        if t is str:
            return ["s", o]
        if t is bool:
            return ["B", o]
        if t is int:
            return ["i", hex(o)]
        if t is float:
            return ["f", o.hex()]
        if t is list:
            return ["l", self.items(o, depth)]
        if t is tuple:
            return ["t", self.items(o, depth)]
        if t is dict:
            return ["d", self.pairs(o, depth)]
        if t is bytes or t is bytearray:
            return ["b" if t is bytes else "ba", base64.b64encode(o).decode()]
        if t is set or t is frozenset:
            return ["S" if t is set else "F", self.items(o, depth)]
        return self.rare(o, t, depth)

    def rare(self, o, t, depth):
        if t is complex:
            return ["c", o.real.hex(), o.imag.hex()]
        if t is range:
            return ["r", hex(o.start), hex(o.stop), hex(o.step)]
        if o is Ellipsis:
            return ["..."]
        if o is NotImplemented:
            return ["NI"]
        if t in (datetime.datetime, datetime.date, datetime.time):
            return ["V", t.__name__, o.isoformat()]
        if t is datetime.timedelta:
            return ["V", "timedelta", [o.days, o.seconds, o.microseconds]]
        if t is datetime.timezone:
            return ["V", "timezone", o.utcoffset(None).total_seconds()]
        if t is decimal.Decimal:
            return ["V", "Decimal", str(o)]
        if t is fractions.Fraction:
            return ["V", "Fraction", [hex(o.numerator), hex(o.denominator)]]
        if t is uuid.UUID:
            return ["V", "UUID", str(o)]
        if t.__name__ in _PATHS and issubclass(t, pathlib.PurePath):
            return ["V", "path", [t.__name__, str(o)]]
        if t.__name__ in _ADDRESSES and t.__module__ == "ipaddress":
            return ["V", "address", [t.__name__, str(o)]]
        if t is re.Pattern:
            return ["V", "pattern", [self.value(o.pattern, depth + 1), o.flags]]
        if t is array.array:
            return ["V", "array", [o.typecode, self.items(o.tolist(), depth)]]
        if t is memoryview:
            return ["V", "memoryview", base64.b64encode(o.tobytes()).decode()]
        if t is types.SimpleNamespace:
            return ["V", "namespace", self.pairs(vars(o), depth)]
        if t is types.MappingProxyType:
            return ["V", "proxy", self.pairs(o.copy(), depth)]
        if t is type({}.keys()) or t is type({}.items()):
            # As a set it compares to sets and views alike.
            return ["S", self.items(list(o), depth)]
        if t is collections.deque:
            return ["dq", self.items(o, depth)]
        if t is collections.OrderedDict:
            return ["od", self.pairs(o, depth)]
        if t is collections.UserDict or t is collections.ChainMap:
            # These compare like what they stand for.
            return ["d", self.pairs(dict(o), depth)]
        if t is collections.UserList:
            return ["l", self.items(list(o), depth)]
        if t is collections.UserString:
            return self.value(str(o), depth + 1)
        if is_scalar(t):
            plain = o.item()
            # A `longdouble` is its own item.
            return self.value(plain, depth + 1) if type(plain) in _SCALARS else ["?", t.__name__]
        if t is types.BuiltinFunctionType and id(o) in _FUNCTIONS:
            return ["V", "builtin", _FUNCTIONS[id(o)]]
        if issubclass(t, type):
            return ["T", *name_of(o)]
        if isinstance(o, enum.Enum):
            member = isinstance(o, enum.Flag) or isinstance(o._value_, (int, str)) and isinstance(o, (int, str))
            return ["e", *name_of(t), o._name_, self.value(o._value_, depth + 1) if member else None]
        if not own_equality(t):
            for base, plain in _BASES:
                if issubclass(t, base):
                    return self.value(plain(o), depth + 1)
        return self.instance(o, t, depth)

    def instance(self, o, t, depth):
        name = name_of(t)
        if name[0] != "__main__":
            return ["?", name[1]]
        state = {}
        for base in t.__mro__:
            for key, member in vars(base).items():
                if type(member) is types.MemberDescriptorType:
                    try:
                        state[key] = member.__get__(o, t)
                    except AttributeError:
                        pass
        attributes = getattr(o, "__dict__", None)
        if type(attributes) is dict:
            state.update(attributes)
        return ["o", *name, self.pairs(state, depth)]


def encode(value, most=MAX_NODES):
    """The value as JSON; opaque when telling it fails, and what comes after so many parts of it."""
    depth = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(depth + 12 * MAX_DEPTH)
        return json.dumps(_Encoder(most).value(value, 0)).encode()
    except Exception:
        return b'["?", "fails"]'
    finally:
        sys.setrecursionlimit(depth)


def faithful(value, names):
    """The value's data form; raises NoData unless all of it has one."""
    bind(names)
    form = json.loads(encode(value))
    todo = [form]
    while todo:
        node = todo.pop()
        if node and node[0] in ("?",):
            raise NoData("an input of the test cases has no data form")
        todo.extend(child for child in node if isinstance(child, list))
    if form != json.loads(encode(decode(form, names))):
        raise NoData("an input of the test cases changes when told as data")
    return form



def short(text):
    if len(text) > MAX_TEXT:
        raise NoData("too long")
    return text


def distinct(keys):
    """The keys, unless so many of them share a hash that a table of them would take quadratic time."""
    if len(keys) > 100 and len(set(map(hash, keys))) < len(keys) // 2:
        raise NoData("keys of the same hash")
    return keys


def integer(text):
    return int(text, 16)


def decode(v, names):
    """The value that a claim describes. Raises for a malformed claim; never runs code of the claimed class."""
    kind = v[0]
    if kind == "s":
        return str(v[1])
    if kind == "N":
        return None
    if kind == "B":
        return v[1] is True
    if kind == "i":
        return integer(v[1])
    if kind == "f":
        return float.fromhex(v[1])
    if kind == "l":
        return [decode(item, names) for item in v[1]]
    if kind == "t":
        return tuple([decode(item, names) for item in v[1]])
    if kind == "d":
        return dict(zip(distinct([decode(key, names) for key, _ in v[1]]), [decode(item, names) for _, item in v[1]]))
    if kind == "b":
        return base64.b64decode(v[1])
    if kind == "ba":
        return bytearray(base64.b64decode(v[1]))
    if kind == "S":
        return set(distinct([decode(item, names) for item in v[1]]))
    if kind == "F":
        return frozenset(distinct([decode(item, names) for item in v[1]]))
    if kind == "od":
        keys = distinct([decode(key, names) for key, _ in v[1]])
        return collections.OrderedDict(zip(keys, [decode(item, names) for _, item in v[1]]))
    if kind == "dq":
        return collections.deque([decode(item, names) for item in v[1]])
    if kind == "c":
        return complex(float.fromhex(v[1]), float.fromhex(v[2]))
    if kind == "r":
        return range(integer(v[1]), integer(v[2]), integer(v[3]))
    if kind == "...":
        return Ellipsis
    if kind == "NI":
        return NotImplemented
    if kind == "V":
        return _VALUES[v[1]](v[2], names)
    if kind in ("T", "e", "o"):
        return named(kind, v, names)
    return Opaque(kind)


def reference(found, names):
    """A class or function that a value refers to."""
    return Inert(found) if type(names) is Claimed else found


def shadows(kind, key):
    """Whether an attribute of that name would stand in place of a method or descriptor of the class."""
    for base in kind.__mro__:
        if key in vars(base):
            member = vars(base)[key]
            plain = (types.MemberDescriptorType, functools.cached_property)
            return type(member) not in plain and (callable(member) or hasattr(type(member), "__get__"))
    return False


def flags(kind, value, names):
    """A combination of flags; opaque where the class itself has a say in making it."""
    value = decode(value, names) if value is not None else None
    if type(value) is not int or not issubclass(kind, enum.Flag) or value.bit_length() > 256:
        return Opaque("e")
    if kind.__module__ != "__main__":
        return value if issubclass(kind, int) else Opaque("e")
    ours = [vars(base) for base in kind.__mro__ if base.__module__ == "__main__"]
    if type(kind) is not enum.EnumMeta or any("_missing_" in o or "__new_member__" in o for o in ours):
        return Opaque("e")
    return kind(value)


def named(kind, v, names):
    found = find(v[1], v[2], names)
    if kind == "e":
        if found is not None and issubclass(found, enum.Enum):
            member = found.__members__.get(v[3])
            return flags(found, v[4], names) if member is None else member
        return decode(v[4], names) if v[4] is not None else Opaque(kind)
    if found is None:
        return Opaque(kind)
    if kind == "T":
        return reference(found, names)
    if found.__module__ != "__main__":
        return Opaque(kind)
    claimed = type(names) is Claimed
    if claimed and any("__call__" in vars(base) for base in found.__mro__):
        return Opaque(kind)
    made = object.__new__(found)
    attributes = getattr(made, "__dict__", None)
    for key, item in v[3]:
        key, item = decode(key, names), decode(item, names)
        if claimed and (type(key) is not str or shadows(found, key)):
            return Opaque(kind)
        slots = [vars(base)[key] for base in found.__mro__ if key in vars(base)]
        if slots and type(slots[0]) is types.MemberDescriptorType:
            slots[0].__set__(made, item)
        elif type(attributes) is dict:
            attributes[key] = item
        else:
            return Opaque(kind)
    return made


def _offset(seconds, names):
    return datetime.timezone(datetime.timedelta(seconds=seconds))


_VALUES = {
    "datetime": lambda x, n: datetime.datetime.fromisoformat(short(x)),
    "date": lambda x, n: datetime.date.fromisoformat(short(x)),
    "time": lambda x, n: datetime.time.fromisoformat(short(x)),
    "timedelta": lambda x, n: datetime.timedelta(*x),
    "timezone": _offset,
    "Decimal": lambda x, n: decimal.Decimal(short(x)),
    "Fraction": lambda x, n: fractions.Fraction(integer(short(x[0])), integer(short(x[1]))),
    "UUID": lambda x, n: uuid.UUID(short(x)),
    "path": lambda x, n: {name: getattr(pathlib, name) for name in _PATHS}[x[0]](x[1]),
    "address": lambda x, n: {name: getattr(ipaddress, name) for name in _ADDRESSES}[x[0]](short(x[1])),
    "pattern": lambda x, n: re.compile(short(decode(x[0], n)), x[1]),
    "array": lambda x, n: array.array(x[0], [decode(item, n) for item in x[1]]),
    "memoryview": lambda x, n: memoryview(base64.b64decode(x)),
    "namespace": lambda x, n: types.SimpleNamespace(**{decode(k, n): decode(i, n) for k, i in x}),
    "proxy": lambda x, n: types.MappingProxyType({decode(k, n): decode(i, n) for k, i in x}),
    "builtin": lambda x, n: reference(_builtins[x], n),
}
