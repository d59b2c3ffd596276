"""The fork server: one warm interpreter that forks a contained child per job.

Started by the outer shell of the sandbox as pid 1 of its own namespaces, unprivileged. Descriptor 3 is a SEQPACKET
socket. In: {"op": "spawn", "id": N, "plain": bool} with two descriptors (stream, status); {"op": "kill", "id": N}.
Out: {"ready": ...} once, {"failed": N, "error": text}, {"gone": N}. A child reads one job from its stream (length,
JSON) and answers on it as its role says. Its status socket, which the code under test never holds, gets JSON lines:
{"ready": true} or {"error": text}, then {"exit": status} (negative: a signal).
"""
import unittest  # noqa: F401 - first, for the baseline: what the benchmark kit's own script imports
import pickle  # noqa: F401
import os
import sys
import site

BASELINE = set(sys.modules)
sys.path.pop(0)  # Our own folder: the code under test cannot import from it.
HARNESS = os.path.dirname(os.path.abspath(__file__))

from importlib.machinery import SourceFileLoader  # noqa: E402


def own(name):
    """Loads one file of the harness without making it importable."""
    import types

    module = types.ModuleType(name)
    path = os.path.join(HARNESS, name + ".py")
    module.__file__ = path
    sys.modules[name] = module
    exec(compile(SourceFileLoader(name, path).get_data(path), path, "exec"), module.__dict__)
    return module


warm = own("warm")
WARM = warm.Warm(BASELINE)
WARM.load("array ctypes errno gc json resource select signal socket struct threading".split() + warm.COMMON)
import atexit  # noqa: E402
import ctypes  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
import select  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import struct  # noqa: E402
import threading  # noqa: E402

codec = own("codec")
own("explain")
ROLES = {"judge": own("judge").main, "runner": own("runner").main}

libc = ctypes.PyDLL(None, use_errno=True)
NEWNS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
SYS_CLONE, SYS_CAPSET = {"x86_64": (56, 126), "aarch64": (220, 91)}[os.uname().machine]
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
NOSUID, NODEV, NOEXEC, REC, PRIVATE = 2, 4, 8, 0x4000, 0x40000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
INNER_ID = 1000
CAPABILITY_HEADER, NO_CAPABILITIES = struct.pack("II", 0x20080522, 0), b"\0" * 24


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def system_call_filter(path):
    """The seccomp program of a file: 8 bytes per instruction."""
    with open(path, "rb") as file:
        data = file.read()
    return Program(len(data) // 8, data)


def check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def mount(kind, target, flags, data):
    check(libc.mount(kind, target, kind, ctypes.c_ulong(flags), data), "mount " + target.decode())


def write(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


def drop_rights():
    check(libc.syscall(SYS_CAPSET, CAPABILITY_HEADER, NO_CAPABILITIES), "capset")


def loopback():
    """Brings up the only interface of a new network namespace: it leads to the run itself and nowhere else."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            request = struct.pack("16sh22x", b"lo", IFF_UP)
            check(libc.ioctl(any_socket.fileno(), ctypes.c_ulong(SIOCSIFFLAGS), request), "loopback")
    except OSError:
        pass  # A kernel without IPv4: a run has less, not more.


def isolate(plain):
    """Runs in the new namespaces: identity, mounts, and no way back."""
    libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
    os.setsid()  # A signal to "my process group" crosses namespaces.
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # Else the maps below belong to root.
    write("/proc/self/setgroups", b"deny")
    write("/proc/self/uid_map", b"%d %d 1" % (INNER_ID, OUTER[0]))
    write("/proc/self/gid_map", b"%d %d 1" % (INNER_ID, OUTER[1]))
    check(libc.mount(b"none", b"/", None, ctypes.c_ulong(REC | PRIVATE), None), "mount /")
    mount(b"tmpfs", b"/tmp", NOSUID | NODEV, TMP_OPTIONS)
    mount(b"tmpfs", b"/dev/shm", NOSUID | NODEV | NOEXEC, SHM_OPTIONS)
    mount(b"proc", b"/proc", NOSUID | NODEV | NOEXEC, None)
    os.mkdir("/tmp/work", 0o755)
    os.chdir("/tmp/work")
    if not plain:
        loopback()
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    drop_rights()
    check(libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(FILTER), 0, 0), "seccomp")


def read_job(stream):
    """One length and that many bytes of JSON; None when the client left without giving a job."""
    data, wanted = b"", 4
    while len(data) < wanted:
        part = os.read(stream, 1 << 20)
        if not part:
            return None
        data += part
        if wanted == 4 and len(data) >= 4:
            wanted += int.from_bytes(data[:4], "big")
    return json.loads(data[4:])


def limit(limits):
    for kind, value in (
        (resource.RLIMIT_AS, limits["memory"]),
        (resource.RLIMIT_FSIZE, limits["file_size"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_seconds"], limits["cpu_seconds"] + 1))


def work(stream):
    """The process that executes the job. Never returns."""
    code = 71
    try:
        job = read_job(stream)
        if job is None:
            os._exit(0)
        limit(job["limits"])
        gc.enable()
        code = ROLES[job["role"]](job, stream)
        # What a plain interpreter does at its end; its status counts, as in the kit.
        try:
            threading._shutdown()
        except BaseException:
            pass
        atexit._run_exitfuncs()
    except BaseException:
        pass
    os._exit(code)


def say(fd, **message):
    os.write(fd, json.dumps(message).encode() + b"\n")


def child(stream, status, plain):
    """Everything after the clone. `plain`: a trusted job, which needs no init of its own."""
    try:
        for fd in (0, 1, 2):
            os.dup2(NULL_READ if fd == 0 else NULL_WRITE, fd, inheritable=True)
        # Only the two sockets of this child stay; the control socket above all must not.
        low, high = sorted((stream, status))
        os.closerange(3, low)
        os.closerange(low + 1, high)
        os.closerange(high + 1, 1024)
        if not plain:
            # Nobody inside may look into init, which does no more than wait: it copies few pages of its own.
            libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
            libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
            pid = os.fork()
            if pid != 0:
                init(pid, stream, status)
            # The signals of a freshly started interpreter.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        isolate(plain)
        say(status, ready=True)
        os.close(status)
    except BaseException as error:
        say(status, error=str(error))
        os._exit(70)
    work(stream)


def init(pid, stream, status):
    """The first process of the namespaces: everything in them ends with it. Holds no right and no stream."""
    os.close(stream)
    drop_rights()
    while True:
        gone, result = os.wait()
        if gone == pid:
            say(status, exit=os.waitstatus_to_exitcode(result))
            os._exit(0)


def main():
    control = socket.socket(fileno=3)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Init of each child inherits it: cannot be interrupted from inside.
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    gc.disable()
    gc.collect()
    gc.freeze()
    control.send(json.dumps({"ready": True, "pid": os.getpid()}).encode())
    live = {}
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.register(wake_read, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poller.poll()]
        if wake_read in ready:
            try:
                os.read(wake_read, 4096)
            except BlockingIOError:
                pass
            while live:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                gone = live.pop(pid, None)
                if gone is not None:
                    control.send(b'{"gone": %d}' % gone)
        if control.fileno() in ready:
            data, fds, _, _ = socket.recv_fds(control, 65536, 2)
            if not data:
                os._exit(0)  # The client is gone: as pid 1 we take everything with us.
            request = json.loads(data)
            if request["op"] == "kill":
                for pid, number in live.items():
                    if number == request["id"]:
                        os.kill(pid, signal.SIGKILL)
                continue
            stream, status = fds
            plain = request["plain"]
            flags = NEWUSER | NEWNS | NEWPID | NEWIPC | (0 if plain else NEWNET) | signal.SIGCHLD
            # A bare clone, without the interpreter's fork hooks: what it makes stays single-threaded, and what
            # executes code is forked from it (or is trusted).
            pid = libc.syscall(SYS_CLONE, ctypes.c_ulong(flags), None, None, None, None)
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                child(stream, status, plain)
                os._exit(71)
            os.close(stream)
            os.close(status)
            if pid < 0:
                error = os.strerror(ctypes.get_errno())
                control.send(json.dumps({"failed": request["id"], "error": "clone: " + error}).encode())
            else:
                live[pid] = request["id"]


OUTER = (os.getuid(), os.getgid())
with open(os.path.join(HARNESS, "config.json"), encoding="utf-8") as config_file:
    CONFIG = json.load(config_file)
TMP_OPTIONS = CONFIG["tmp_options"].encode()
SHM_OPTIONS = CONFIG["shm_options"].encode()
FILTER = system_call_filter(os.path.join(HARNESS, "seccomp.bpf"))
NULL_READ = os.open("/dev/null", os.O_RDONLY)
NULL_WRITE = os.open("/dev/null", os.O_WRONLY)
# `exit` and friends: a plain interpreter has them, and `-S` does not.
site.setquit()
site.sethelper()
site.setcopyright()
sys.path.extend(CONFIG["path"])
os.environ.clear()
os.environ.update(PATH="/usr/bin:/bin", HOME="/tmp/work", LANG="C.UTF-8", TMPDIR="/tmp", OPENBLAS_NUM_THREADS="1")
WARM.hide(forget={"warm", "codec", "explain", "judge", "runner"})
main()
