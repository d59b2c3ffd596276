"""Imports OpenHands once, and forks a driver for each session that is asked for.

Standard input is a socket of packets. A request is JSON with two descriptors, the driver's channel and its log:
  {"agent": PID, "env": {...}, "folder": ..., "filter": HEX, "processes": N}
The driver enters the namespaces of the process PID and takes on what every contained agent has; it gets no more rights than
one that was started inside. The answer is {} or {"error": ...}. Nothing of a session is ever told here but its places: what is
secret comes through its own channel.
"""

import ctypes
import fcntl
import gc
import json
import os
import resource
import socket
import sys

NAMESPACES = ("mnt", "net", "ipc", "uts", "cgroup", "time", "pid")
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 4, 22, 38
SECCOMP_MODE_FILTER = 2
CAPABILITIES_VERSION_3 = 0x20080522
libc = ctypes.CDLL(None, use_errno=True)


class FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def leave_the_host_s_interpreter():
    """Starts this program again, from a sealed copy of the interpreter in memory.

    /proc/PID/exe of a driver leads to the file itself, past the read-only view of it: what could write to that file could change
    every Python of the user's.
    """
    if os.environ.pop("MTSEC_SEALED", None):
        return
    copy = os.memfd_create("python", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(os.path.realpath(sys.executable), "rb") as file:
        while os.sendfile(copy, file.fileno(), None, 1 << 24):
            pass
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    os.execve(copy, [sys.executable, "-u", *sys.argv], {**os.environ, "MTSEC_SEALED": "1"})


def enter(request):
    """Enters the namespaces of the agent's process; the next child is inside."""
    place = f"/proc/{request['agent']}"
    other = []
    for name in NAMESPACES:
        there, here = f"{place}/ns/{name}", f"/proc/self/ns/{name}"
        if os.path.exists(here) and os.readlink(there) != os.readlink(here):
            other.append(os.open(there, os.O_RDONLY | os.O_CLOEXEC))
    user = os.open(f"{place}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    owner = os.stat(place)
    if owner.st_uid == os.geteuid():
        # The namespaces belong to a user namespace of our own user's.
        os.setns(user)
        for each in other:
            os.setns(each)
        return
    # They were made with root's rights, which were given up then.
    for each in other:
        os.setns(each)
    os.setgroups([])
    os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
    os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
    os.setns(user)


def give_up_rights(request):
    """What the containment's init does before it starts an agent."""
    most = request["processes"]
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")
    except OSError:
        pass
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION_3, 0)
    call("capset", header, (ctypes.c_uint32 * 6)())
    program = bytes.fromhex(request["filter"])
    instructions = ctypes.create_string_buffer(program, len(program))
    filter = FilterProgram(len(program) // 8, ctypes.addressof(instructions))
    call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter), 0, 0)


def become_driver(request, channel, log, answer):
    os.setsid()
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    kept = os.dup2(channel, 3), os.dup2(answer, 4)
    os.closerange(5, 1 << 16)
    # Before the limits and the filter, which may forbid it.
    call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0)
    give_up_rights(request)
    # Other processes of the session cannot look into this one: not into its memory, and not at its descriptors.
    call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["env"])
    os.write(kept[1], b"{}")
    os.close(kept[1])
    import random
    import tempfile

    import driver

    # What the imports have found out is not the session's.
    tempfile.tempdir = None
    random.seed()
    driver.main(kept[0], os.dup(kept[0]))


def fork_driver(request, channel, log):
    """Forks the driver, and tells of the first step that failed."""
    reading, writing = os.pipe()
    outside = os.fork()
    if outside:
        os.close(writing)
        answer = b""
        while part := os.read(reading, 4096):
            answer += part
        os.close(reading)
        os.waitpid(outside, 0)
        return answer or b'{"error": "the driver ended before it was inside"}'
    try:
        # The numbers of the driver's descriptors are low ones: these are out of their way.
        channel, log, writing = (fcntl.fcntl(each, fcntl.F_DUPFD, 64) for each in (channel, log, writing))
        os.close(0)
        os.closerange(3, 64)
        enter(request)
        # Twice: what is born inside to one who is inside becomes the child of the init when that one leaves.
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        elif os.fork() == 0:
            become_driver(request, channel, log, writing)
    except BaseException as error:
        import traceback

        traceback.print_exc()
        os.write(writing, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
    finally:
        os._exit(0)


def main():
    leave_the_host_s_interpreter()
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    control = socket.socket(fileno=os.dup(0))
    # Not to be kept open by what is forked.
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    # A library of linear algebra starts a thread for each core; here there must be none.
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    import driver

    driver.prepare()
    threads = len(os.listdir("/proc/self/task"))
    # A fork with other threads could hang, and could not change its user namespace in some kernels.
    control.send(json.dumps({"ready": True, "threads": threads}).encode())
    gc.collect()
    gc.freeze()
    while True:
        packet, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 2)
        if not packet:
            return
        try:
            answer = fork_driver(json.loads(packet), *descriptors)
        except Exception as error:
            answer = json.dumps({"error": f"{type(error).__name__}: {error}"}).encode()
        finally:
            for each in descriptors:
                os.close(each)
        control.send(answer)


main()
