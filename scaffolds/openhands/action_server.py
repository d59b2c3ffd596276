"""OpenHands' server of actions, in which the model's commands run."""

import ctypes
import os
import runpy
import signal
import socket
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1


def hide_key_from_commands():
    """The server has read its key when it starts a shell: what the model runs there shall not find it."""
    from openhands.runtime.utils.bash import BashSession

    start = BashSession.initialize

    def start_without_key(session):
        os.environ.pop("SESSION_API_KEY", None)
        return start(session)

    BashSession.initialize = start_without_key


def keep_its_address_in_the_session():
    """The server of files for a browser, which no session has, writes its address to a place that all sessions would share."""
    import tempfile

    from openhands.runtime import file_viewer_server

    shared, own = "/tmp/oh-server-url", os.path.join(tempfile.gettempdir(), "oh-server-url")

    def open_own(path, *arguments, **options):
        return open(own if path == shared else path, *arguments, **options)

    file_viewer_server.open = open_own


class ActionServer:
    """OpenHands' server of actions, forked from this process instead of started anew: its imports take ten seconds.

    Behaves like the subprocess.Popen that LocalRuntime expects.
    """

    def __init__(self, workspace, port, editor_port, log):
        import openhands
        import openhands.runtime.action_execution_server  # noqa: F401  before the fork

        self.returncode, self.stdout = None, None
        self.pid = os.fork()
        if self.pid:
            return
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            null = os.open("/dev/null", os.O_RDONLY)
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            for source, target in ((null, 0), (output, 1), (output, 2)):
                os.dup2(source, target)
            os.closerange(3, 4096)
            home = os.path.dirname(os.path.dirname(openhands.__file__))
            os.environ.update(OPENHANDS_REPO_PATH=home, LOCAL_RUNTIME_MODE="1", VSCODE_PORT=str(editor_port))
            os.chdir(home)
            hide_key_from_commands()
            keep_its_address_in_the_session()
            sys.argv = ["action_execution_server", str(port), "--working-dir", workspace, "--username", os.environ["USER"]]
            sys.argv += ["--user-id", str(os.getuid()), "--no-enable-browser"]
            runpy.run_module("openhands.runtime.action_execution_server", run_name="__main__", alter_sys=True)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(1)

    def wait_for_port(self, port):
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                return socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                if self.poll() is not None:
                    raise RuntimeError("the action server ended at its start, see server.log") from None
                time.sleep(0.02)
        raise RuntimeError("the action server did not open its port")

    def poll(self):
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout=None):
        end = time.monotonic() + (timeout if timeout is not None else 1e9)
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("action_execution_server", timeout)
            time.sleep(0.02)
        return self.returncode

    def terminate(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
