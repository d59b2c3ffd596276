"""A fake agent: asks its model once per turn, writes the file that it answers with, and misbehaves when told to."""
import os
import re
import signal
import socket
import subprocess
import sys
import time


def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def read():
    data = b""
    while not data.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(1)
        data += byte
    return data.decode()


def message():
    first = read()
    if first == "exit\n":
        sys.exit(0)
    tag, lines = first.strip()[1:], []
    while (line := read()) != tag + "}\n":
        lines.append(line)
    return "".join(lines)


def ask(text):
    say(text)
    return read().strip()


def quote(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return f'"{escaped}"'


def call(prompt):
    """One call of chat completions, without the modules that would double the time to start."""
    host, port, path = re.fullmatch(r"http://([^:/]+):(\d+)(/.*)", os.environ["API_BASE"]).groups()
    body = f'{{"model": {quote(os.environ["MODEL"])}, "messages": [{{"role": "user", "content": {quote(prompt)}}}]}}'.encode()
    head = (
        f"POST {path}/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {os.environ['API_KEY']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    try:
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode() + body)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError as error:
        return None, str(error)
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if status != [b"200"]:
        return None, f"status {status} {body[:200]!r}"
    import json

    try:
        return json.loads(body)["choices"][0]["message"]["content"], ""
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return None, f"{type(error).__name__} {body[:100]!r}"


def work(prompt):
    """What an honest agent does in a turn."""
    text, why = call(prompt)
    if text is None:
        say(f"the model did not answer: {why}\n")
        return
    say(text + "\n")
    for name, code in re.findall(r"^(\S+)\n```[a-z]*\n(.*?)^```$", text, re.S | re.M):
        with open(name, "w") as file:
            file.write(code)


def misbehave(fault, prompt):
    if fault == "exits":
        work(prompt)
        os._exit(3)
    elif fault == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif fault == "cuts-off":
        say("the model did not answer: no way to it\n")
    elif fault == "asks":
        answers = ask("Known? [y/n] ") + ask("Shall I sing? [y/n] ") + ask("Password: ")
        work(prompt)
        with open("answers", "w") as file:
            file.write(answers)
    elif fault == "asks-forever":
        while True:
            ask("Known? [y/n] ")
    elif fault == "floods":
        work(prompt)
        line = b"x" * 65535 + b"\n"
        for _ in range(1 << 14):  # 1 GB
            os.write(1, line)
    elif fault == "garbage":
        work(prompt)
        for _ in range(64):
            os.write(1, os.urandom(4096))
        say("\n")
    elif fault == "silent":
        time.sleep(3600)
    elif fault == "stubborn":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        work(prompt)
        while True:
            time.sleep(1)
            try:
                say("still here\n")
            except OSError:  # the terminal is gone
                pass
    elif fault == "daemonises":
        subprocess.Popen(["setsid", "sh", "-c", "trap '' HUP TERM INT; while :; do echo x >> alive; sleep 0.02; done"])
        subprocess.run(["sh", "-c", "(setsid sleep 86399 &)"])
        work(prompt)
    elif fault == "fills-disk":
        work(prompt)
        with open("big.bin", "wb", buffering=0) as file:
            while True:
                file.write(b"x" * (1 << 20))
                time.sleep(0.004)
    elif fault == "leaves-much":
        work(prompt)
        with open("big.bin", "wb") as file:
            file.write(b"x" * (60 << 20))
    elif fault == "fills-hidden":
        # Without a name: no walk of the tree finds it.
        work(prompt)
        with open("big.bin", "wb", buffering=0) as file:
            os.unlink("big.bin")
            while True:
                file.write(b"x" * (1 << 20))
                time.sleep(0.004)
    elif fault == "many-files":
        work(prompt)
        for number in range(100_000):
            os.close(os.open(f"a-{number}", os.O_CREAT | os.O_WRONLY))
    elif fault == "endless-files":
        work(prompt)
        number = 0
        while True:
            if number % 1000 == 0:
                os.mkdir(f"folder-{number}")
            os.close(os.open(f"folder-{number - number % 1000}/{number}", os.O_CREAT | os.O_WRONLY))
            number += 1
    elif fault == "nests-folders":
        # Deeper than a path can name, and deeper than a stack.
        work(prompt)
        os.chdir(os.environ["TMPDIR"])
        for _ in range(15_000):
            os.mkdir("d")
            os.chdir("d")
        time.sleep(3600)
    elif fault == "deletes-workspace":
        work(prompt)
        subprocess.run(["rm", "-rf", os.getcwd()])
    elif fault == "links-workspace":
        work(prompt)
        here = os.getcwd()
        os.rename(here, here + ".moved")
        os.symlink("/etc", here)
    elif fault == "odd-files":
        work(prompt)
        os.mkfifo("pipe")
        socket.socket(socket.AF_UNIX).bind("socket")
        try:
            os.mknod("device", 0o600 | 0o020000, os.makedev(1, 8))  # /dev/random never ends
        except OSError:
            pass
        os.symlink("/dev/zero", "zero")
        os.mkdir("locked")
        with open("locked/file", "w") as file:
            file.write("x")
        os.chmod("locked", 0)
    else:
        raise SystemExit(f"unknown fault {fault}")


def main():
    start = os.environ.get("FAULT_AT_START")
    if start == "never-ready":
        say("still loading")
        time.sleep(3600)
    elif start == "no-licence":
        say("no licence\n")
        sys.exit(3)
    while True:
        say("\nready> ")
        prompt = message()
        fault = re.search(r"fault: ([a-z-]+)", prompt)
        if fault:
            misbehave(fault[1], prompt)
        else:
            work(prompt)


main()
