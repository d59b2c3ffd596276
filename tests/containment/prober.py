"""Runs the probe for each message, with the arguments that the message names in its first line."""

import os, subprocess, sys


def read():
    data = b""
    while not data.endswith(b"\n"):
        data += os.read(0, 1)
    return data.decode()


while True:
    sys.stdout.write("\nready> ")
    sys.stdout.flush()
    first = read()
    if first == "exit\n":
        sys.exit(0)
    lines = []
    while (line := read()) != first.strip()[1:] + "}\n":
        lines.append(line)
    arguments = next(line for line in lines if line.startswith("probe: ")).split()[1:]
    probe = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probe.py")
    with open("probe.log", "w") as log:
        subprocess.run([sys.executable, probe, *arguments], stdout=log, stderr=log)
