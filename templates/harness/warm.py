"""Modules imported before the fork, yet invisible until the code imports them.

A program that says `import urllib` and then uses `urllib.parse` fails in a plain interpreter. It must fail here too,
although the fork server has loaded `urllib.parse` long ago. So every module beyond the baseline is taken out of
`sys.modules` and unbound from its parent; importing it brings it back, with exactly what its own imports bring along.
"""
import builtins
import sys
from importlib.machinery import ModuleSpec

# What programs of this kind import most, as far as it is cheap: every megabyte here makes every fork slower. What pulls
# in `email`, `asyncio` or `ssl` (`http.client`, `urllib.request`, `unittest.mock`) is left to those who want it.
COMMON = """
ast base64 binascii bisect collections configparser contextlib copy csv dataclasses datetime decimal enum fnmatch
fractions functools glob hashlib heapq hmac html html.entities html.parser io ipaddress itertools json logging math
numbers operator os pathlib queue random re secrets select shlex shutil signal socket stat string struct subprocess
tempfile textwrap threading time traceback types typing unicodedata urllib urllib.error urllib.parse uuid weakref
xml.etree.ElementTree zlib
""".split()


class Warm:
    """A finder that hands out preloaded modules, and the recorder of who imports what."""

    def __init__(self, baseline):
        self.baseline = baseline
        self.edges = {}
        self.hidden = {}
        self.specs = {}

    def load(self, names):
        """Imports `names`, remembering every import statement that runs meanwhile; returns the modules."""
        plain = builtins.__import__
        edges = self.edges

        def recording(name, globals=None, locals=None, fromlist=(), level=0):
            module = plain(name, globals, locals, fromlist, level)
            importer = globals.get("__name__") if globals else None
            if importer:
                base = name
                if level:
                    parts = (globals.get("__package__") or importer).split(".")
                    base = ".".join(parts[: len(parts) - level + 1] + ([name] if name else []))
                wanted = edges.setdefault(importer, set())
                wanted.add(base)
                wanted.update(f"{base}.{item}" for item in fromlist or () if f"{base}.{item}" in sys.modules)
            return module

        builtins.__import__ = recording
        try:
            for name in names:
                try:
                    recording(name)
                except ImportError:
                    pass  # A trimmed interpreter: the code that wants the module will hear of it.
        finally:
            builtins.__import__ = plain

    def hide(self, forget):
        """Hides all modules beyond the baseline; those in `forget` (our own) for good."""
        for name in [name for name in sys.modules if name not in self.baseline]:
            if type(sys.modules[name]) is not type(sys):
                continue  # `typing.io` and its like: not imported from anywhere.
            module = sys.modules.pop(name)
            parent, _, tail = name.rpartition(".")
            holder = sys.modules.get(parent) or self.hidden.get(parent)
            if module.__spec__ is None:
                # Made by its parent (`pyexpat.model`), not imported: a part of it, which no import would bring back.
                self.edges.setdefault(parent, set()).add(name)
            elif holder is not None and holder.__dict__.get(tail) is module:
                delattr(holder, tail)
            if name not in forget:
                self.hidden[name] = module
                self.specs[name] = module.__spec__
        sys.meta_path.insert(0, self)

    def closure(self, name):
        """The hidden modules that importing `name` makes visible, `name` included."""
        found, todo = [], [name]
        seen = set()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            parent = name.rpartition(".")[0]
            if parent:
                todo.append(parent)
            if name in self.hidden:
                found.append(name)
                todo.extend(self.edges.get(name, ()))
        return found

    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name in self.hidden else None

    def create_module(self, spec):
        wanted = self.hidden[spec.name]
        for name in sorted(self.closure(spec.name)):
            module = self.hidden.pop(name)
            sys.modules[name] = module
            parent, _, tail = name.rpartition(".")
            if parent in sys.modules:
                setattr(sys.modules[parent], tail, module)
        return wanted

    def exec_module(self, module):
        module.__spec__ = self.specs[module.__name__]
