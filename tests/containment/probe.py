"""What a program that the model has the agent run can see and do, as JSON. Runs in the workspace."""

import ctypes, errno, json, os, resource, socket, subprocess, sys, urllib.error, urllib.request

SECRET, RUN, PORT, ABSTRACT, HOST_PID = sys.argv[1:6]
found = {}


def tried(name, act):
    try:
        found[name] = act()
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, str(error))


def files(root):
    listed = []
    for folder, folders, names in os.walk(root):
        if folder == "/":
            folders[:] = [name for name in folders if name not in ("proc", "usr", "dev")]
        listed += [os.path.join(folder, name) for name in names]
    return listed


def reach(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as tried_socket:
        tried_socket.settimeout(5)
        tried_socket.connect(address)
    return "connected"


def call(base, token):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "mine"}]}).encode()
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
    try:
        return urllib.request.urlopen(urllib.request.Request(base + "/chat/completions", body, headers)).status
    except urllib.error.HTTPError as error:
        return error.code


libc = ctypes.CDLL(None, use_errno=True)


def system_call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)
    return "done"


status = open("/proc/self/status").read()
field = lambda name: next(line.split()[1] for line in status.splitlines() if line.startswith(name))
found["user"] = os.getuid()
found["capabilities"] = int(field("CapEff"), 16) | int(field("CapPrm"), 16)
found["no_new_privs"] = field("NoNewPrivs")
found["environment"] = dict(os.environ)
found["pids"] = [int(name) for name in os.listdir("/proc") if name.isdigit()]
found["commands"] = [open(f"/proc/{pid}/cmdline").read() for pid in found["pids"]]
found["root"] = sorted(os.listdir("/"))
everything = files("/")
found["seen"] = [path for path in everything if any(word in path for word in (SECRET, RUN, "/verdicts/", "tasks.jsonl"))]
base, token = os.environ["OPENAI_API_BASE"], os.environ["OPENAI_API_KEY"]
tried("secret", lambda: open(SECRET).read())
tried("run", lambda: os.listdir(RUN))
tried("environment of init", lambda: open("/proc/1/environ").read())
tried("memory of init", lambda: open("/proc/1/mem", "rb").read(1).hex())
tried("files of init", lambda: os.listdir("/proc/1/fd"))
tried("port of the host", lambda: reach(socket.AF_INET, ("127.0.0.1", int(PORT))))
tried("address outside", lambda: reach(socket.AF_INET, ("192.0.2.1", 80)))
tried("socket of the host", lambda: reach(socket.AF_UNIX, "\0" + ABSTRACT))
tried("host of the machine", lambda: socket.socket(getattr(socket, "AF_VSOCK", 40), socket.SOCK_STREAM) and "made")
tried("process of the host", lambda: os.kill(int(HOST_PID), 0) or "reached")
tried("end of init", lambda: os.kill(1, 9) or "sent")
tried("limits of init", lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (8, 8)) and "set")
tried("processors of init", lambda: os.sched_setaffinity(1, [0]) or "set")
tried("own limits", lambda: resource.prlimit(0, resource.RLIMIT_CORE, (0, 0)) and "set")
tried("socket of the gateway", lambda: os.chmod("/run/gateway.sock", 0) or "closed")
tried("the gateway's socket itself", lambda: reach(socket.AF_UNIX, "/run/gateway.sock"))
tried("program of the system", lambda: open("/usr/bin/env", "r+b") and "open")
tried("program of the agent", lambda: open(sys.argv[6], "r+b") and "open")
tried("file in the root", lambda: open("/new", "w") and "open")
tried("namespaces", lambda: system_call("unshare", 0x10000000))
tried("mount", lambda: system_call("mount", b"none", b"/tmp", b"tmpfs", 0, None))
tried("ptrace", lambda: system_call("ptrace", 16, 1, None, None))
tried("device", lambda: os.mknod("device", 0o600 | 0o060000, os.makedev(8, 0)) or "made")
tried("workspace removed", lambda: os.rmdir(os.getcwd()) or "removed")
tried("workspace renamed", lambda: os.rename(os.getcwd(), os.getcwd() + "-2") or "renamed")
tried("temporary file", lambda: open("/tmp/mine", "w").write("x"))
# More connections than are forwarded at once: the others wait their turn.
many = [socket.create_connection(("127.0.0.1", 4000)) for _ in range(100)]
for connection in many:
    connection.close()
tried("own route", lambda: call(base, token))
tried("foreign route", lambda: call(base.replace(token, "0" * len(token)), "0" * len(token)))
# One in a session of its own, and one that has lost its parent.
subprocess.Popen(["setsid", "sleep", sys.argv[7]], stdin=subprocess.DEVNULL)
subprocess.run(["sh", "-c", f"sleep {sys.argv[7]} > /dev/null 2>&1 &"])
json.dump(found, open("found.json", "w"))
