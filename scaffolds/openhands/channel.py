"""The line to whoever drives us, and what may go over it."""

import json
import os
import threading


class Channel:
    """The line to whoever drives us. What libraries print goes to standard error, never into it."""

    def __init__(self, source, sink):
        self.lines = os.fdopen(source, "r", encoding="utf-8", errors="replace")
        self.sink = os.fdopen(sink, "w", encoding="utf-8", errors="replace")
        self.lock = threading.Lock()

    def say(self, kind, **fields):
        # Half of a pair of surrogates is no text elsewhere: not escaped here, it is replaced by the sink.
        text = json.dumps({"type": kind, **fields}, default=str, ensure_ascii=False)
        with self.lock:
            try:
                self.sink.write(text + "\n")
                self.sink.flush()
            except OSError:
                # Nobody listens any more.
                os._exit(1)

    def hear(self):
        """The next message; `stop` at the end."""
        for line in self.lines:
            if line.strip():
                return json.loads(line)
        return {"type": "stop"}


def clipped(value, most=2000):
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= most else text[:most] + "…"


def in_text(value):
    """The same with nothing in it that no encoding of text can hold: a model may escape half of a pair of surrogates."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [in_text(each) for each in value]
    if isinstance(value, dict):
        return {in_text(name): in_text(each) for name, each in value.items()}
    return value
