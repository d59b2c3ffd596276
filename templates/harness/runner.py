"""The untrusted side: executes the code under test and answers one frame per case. Holds no expected value.

Whatever the code does to this process, it can only claim what its function returned or raised.
Frame: payload length (u32), nonce (16 bytes), kind (1 byte), payload. Kinds: R ready, V returned, X raised,
M a module is missing, D what the next X, B or L is about (in words, which decide nothing), B a case raised a BaseException, L the program did not load, E end.
"""
import os
import struct
import sys
import types

import codec
import explain

PRE = "import unittest\nimport pickle\nimport os\n"
POST = "\n\nclass TestCode(unittest.TestCase):\n    pass\n"
RUN, WORK = "/tmp/run", "/tmp/work"


def text(value, most=400):
    try:
        return str(value)[:most].encode("ascii", "backslashreplace").decode()
    except BaseException:
        return ""


def lay(files):
    """The whole tree, in the working directory: as it lay before whoever wrote it."""
    for name, content in files:
        path = os.path.join(WORK, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(bytes.fromhex(content))


def main(job, fd, write=os.write, pack=struct.pack, encode=codec.encode, lineage=codec.lineage, told=explain.told):
    nonce = bytes.fromhex(job["nonce"])

    def send(kind, payload=b""):
        data = pack(">I16sc", len(payload), nonce, kind) + payload
        while data:
            data = data[write(fd, data) :]

    def missing(error):
        if isinstance(error, ModuleNotFoundError) and isinstance(error.name, str):
            send(b"M", text(error.name, 100).encode())

    def tell(error):
        try:
            words = told(error, path, job["entry"], lines, before)
        except BaseException:
            return
        send(b"D", words)

    os.mkdir(RUN)
    path = f"{RUN}/{job['entry']}"
    before = PRE + job["setup"] + "\n\n"
    source = before + job["code"] + POST
    lines, before = (before + job["code"]).split("\n"), before.count("\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write(source)
    own, folder = path, RUN
    if job["files"]:
        try:
            lay(job["files"])
        except OSError as error:
            send(b"L", f"the tree cannot be laid out: {text(error)}".encode("ascii", "backslashreplace"))
            return 1
        # Compiled from the folder of the run all the same: there the lines are where tracebacks say.
        own, folder = f"{WORK}/{job['entry']}", WORK
    sys.argv = [own]
    sys.path.insert(0, folder)
    module = types.ModuleType("__main__")
    module.__file__ = own
    module.__builtins__ = sys.modules["builtins"]
    sys.modules["__main__"] = module
    names = module.__dict__
    codec.bind(names)
    del module, file
    try:
        exec(compile(source, path, "exec", dont_inherit=True), names)
        if job["inputs"] is not None:
            exec(compile(job["inputs"], "<testcases>", "exec", dont_inherit=True), names)
            inputs = names["TestCode"]("_t")._t()
        else:
            inputs = [codec.decode(value, names) for value in job["encoded"]]
        # The function is looked up at every call, as the kit does.
        function = job["function"]
        by_name = eval(f"lambda inputs: {function}(**inputs)", names)
        by_position = eval(f"lambda inputs: {function}(*inputs.values())", names)
    except BaseException as error:
        missing(error)
        tell(error)
        send(b"L", f"{type(error).__name__}: {text(error)}".encode("ascii", "backslashreplace"))
        return 1
    send(b"R", pack(">I", len(inputs)))
    for case in inputs:
        try:
            try:
                value = by_name(case)
            except TypeError as error:
                if "got an unexpected keyword argument" not in str(error):
                    raise
                value = by_position(case)
            payload = encode(value)
            del value
            send(b"V", payload)
        except Exception as error:
            missing(error)
            tell(error)
            send(b"X", lineage(type(error)))
        except BaseException as error:
            tell(error)
            send(b"B", text(type(error).__name__).encode())
            return 1
    send(b"E")
    return 0
