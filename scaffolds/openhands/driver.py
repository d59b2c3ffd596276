"""One conversation of OpenHands 0.57 (headless, local runtime), driven by JSON lines.

In:  {"type": "start", ...} once, then {"type": "turn", "turn": N, "prompt": ...} each time it is idle; {"type": "cancel"} stops
     the turn that runs; {"type": "stop"}, or the end of the input, ends the session.
Out: ready | event | turn_finished | error | closed, one JSON object a line. The log goes to standard error.

The loop is our own: OpenHands' own one ends with the first `finish`, and never ends when a rate limit is met.
"""

import ctypes
import functools
import json
import os
import queue
import sys
import threading
import time

from action_server import ActionServer
from channel import Channel, clipped, in_text

PR_SET_DUMPABLE = 4
# Where the agent stands when a turn is over, and what that is called here.
ENDS = {
    "awaiting_user_input": "answered",
    "awaiting_user_confirmation": "answered",
    "finished": "finished",
    "rejected": "error",
    "error": "error",
    "stopped": "cancelled",
    # OpenHands itself would wait for ever.
    "rate_limited": "rate_limited",
}
# How long after a broken runtime was told of the turn is given up: no change of state follows.
BROKEN_SECONDS = 3.0
# How long a command that was left running may take to answer a look, and the interrupt.
LOOK_SECONDS, INTERRUPT_SECONDS = 1, 5


class Session:
    def __init__(self, wanted, channel):
        from openhands.core import setup
        from openhands.events import EventStreamSubscriber
        from openhands.utils.async_utils import call_async_from_sync
        from openhands.utils.utils import create_registry_and_conversation_stats

        self.channel, self.wanted = channel, wanted
        self.turn, self.over, self.reason = 0, threading.Event(), None
        self.last_message, self.broken, self.command_runs = "", None, False
        self.workspace = os.path.realpath(wanted["workspace"])
        # OpenHands would silently run elsewhere.
        if not os.path.isdir(self.workspace):
            raise RuntimeError(f"there is no workspace {self.workspace}")
        self.folder = os.path.realpath(wanted["folder"])
        os.makedirs(self.folder, exist_ok=True)
        config = self.configure()
        self.serve_actions()
        sid = setup.generate_sid(config, "session")
        registry, self.stats, config = create_registry_and_conversation_stats(config, sid, None)
        self.agent = setup.create_agent(config, registry)
        self.make_calls_plain(self.agent.llm)
        self.runtime = setup.create_runtime(config, registry, sid=sid, headless_mode=True, agent=self.agent)
        call_async_from_sync(self.runtime.connect, 180)
        self.stream = self.runtime.event_stream
        # Found out at the import, which may have been another session's.
        from openhands.memory import memory

        memory.USER_MICROAGENTS_DIR = type(memory.USER_MICROAGENTS_DIR)(os.environ["HOME"]) / ".openhands" / "microagents"
        self.memory = setup.create_memory(self.runtime, self.stream, sid, working_dir=self.workspace)
        # Random ports in the prompt would make it another in each session.
        self.memory.runtime_info.available_hosts = {}
        self.controller, _ = setup.create_controller(self.agent, self.runtime, config, self.stats)
        self.controller.status_callback = self.on_status
        for part in (self.runtime, self.memory):
            part.status_callback = self.on_status_of_part
        self.stream.subscribe(EventStreamSubscriber.MAIN, self.on_event, sid)

    @staticmethod
    def make_calls_plain(llm):
        """Leaves to the gateway what is its own: to try again, and efforts and budgets of thinking."""
        given = dict(llm._completion_unwrapped.keywords)
        # Guessed by the model's name: `high`, or next to none, where nothing was asked for.
        for name in ("reasoning_effort", "allowed_openai_params"):
            given.pop(name, None)
        # What it switches off stays so: it cannot send thoughts back, as a provider would ask for.
        if "budget_tokens" in given.get("thinking", {}):
            given.pop("thinking")
        # The HTTP client would try three times on its own each time.
        given["max_retries"] = 0
        call = functools.partial(llm._completion_unwrapped.func, **given)

        def call_for_text(*arguments, **named):
            answer = call(*arguments, **named)
            for choice in answer.choices or []:
                Session.make_text(choice.message)
            return answer

        llm._completion_unwrapped = call_for_text

    @staticmethod
    def make_text(message):
        """Else OpenHands could neither store the answer nor send it back."""
        for name in ("content", "reasoning_content"):
            if isinstance(text := getattr(message, name, None), str):
                setattr(message, name, in_text(text))
        for tool in message.tool_calls or []:
            function = tool.function
            function.name, function.arguments = in_text(function.name), in_text(function.arguments)
            try:
                arguments = json.loads(function.arguments)
            except (TypeError, ValueError):
                # Told to the model by OpenHands.
                continue
            if (text := in_text(arguments)) != arguments:
                function.arguments = json.dumps(text)

    def configure(self):
        from pydantic import SecretStr
        import openhands.agenthub  # noqa: F401  registers agents
        from openhands.agenthub.codeact_agent.codeact_agent import CodeActAgent
        from openhands.core.config import AgentConfig, LLMConfig, OpenHandsConfig, SandboxConfig, SecurityConfig
        from openhands.core.config.condenser_config import NoOpCondenserConfig

        wanted, model = self.wanted, self.wanted["model"]
        # Else a Jupyter gateway and its kernel are started, which outlive everything.
        CodeActAgent.sandbox_plugins = []
        config = OpenHandsConfig(
            default_agent="CodeActAgent",
            runtime="local",
            workspace_base=self.workspace,
            workspace_mount_path_in_sandbox=self.workspace,
            enable_browser=False,
            run_as_openhands=False,
            max_iterations=wanted["iterations"],
            file_store="local",
            file_store_path=self.folder + "/store",
            cache_dir=self.folder + "/cache",
            enable_default_condenser=False,
            init_git_in_empty_workspace=False,
            security=SecurityConfig(confirmation_mode=False, security_analyzer=None),
            sandbox=SandboxConfig(timeout=wanted["command_seconds"]),
        )
        settings = dict(
            model=model["family"] + "/" + model["name"],
            base_url=wanted["api_base"],
            api_key=SecretStr(wanted["api_key"]),
            timeout=wanted["call_seconds"],
            num_retries=wanted["tries"],
            retry_min_wait=1,
            retry_max_wait=2,
            retry_multiplier=1,
            native_tool_calling=True,
            disable_vision=True,
            max_input_tokens=model["max_input_tokens"],
            max_output_tokens=model["max_output_tokens"],
        )
        llm = LLMConfig(**settings, temperature=model["temperature"] if model["temperature"] is not None else 0.0)
        if model["temperature"] is None:
            # No field for it: None is left out of the request.
            object.__setattr__(llm, "temperature", None)
        config.set_llm_config(llm)
        config.set_agent_config(
            AgentConfig(
                enable_browsing=False,
                enable_som_visual_browsing=False,
                enable_jupyter=False,
                enable_mcp=False,
                enable_history_truncation=False,
                condenser=NoOpCondenserConfig(),
            )
        )
        return config

    def serve_actions(self):
        """Starts the server of actions, and hands it to LocalRuntime as one that was kept warm."""
        from openhands.runtime.impl.local import local_runtime as local

        ranges = (local.EXECUTION_SERVER_PORT_RANGE, local.VSCODE_PORT_RANGE)
        ranges += (local.APP_PORT_RANGE_1, local.APP_PORT_RANGE_2)
        ports = [local.find_available_tcp_port(*each) for each in ranges]
        server = ActionServer(self.workspace, ports[0], ports[1], self.folder + "/server.log")
        server.wait_for_port(ports[0])
        ended = threading.Thread(target=int)
        ended.start()
        local._WARM_SERVERS.append(
            local.ActionExecutionServerInfo(
                process=server,
                execution_server_port=ports[0],
                vscode_port=ports[1],
                app_ports=ports[2:],
                temp_workspace=None,
                log_thread=ended,
                log_thread_exit_event=threading.Event(),
                workspace_mount_path=self.workspace,
            )
        )

    def on_status(self, level, status, message):
        self.channel.say("event", turn=self.turn, name="status", detail=clipped(f"{level}: {status}: {message}", 500))
        if level == "error" and "DISCONNECTED" in str(status):
            self.broken = f"{getattr(status, 'value', status)} {message}"
            turn = self.turn

            def give_up():
                if self.turn == turn:
                    self.end("broken")

            threading.Timer(BROKEN_SECONDS, give_up).start()

    def on_status_of_part(self, level, status, message):
        """As OpenHands' own loop does: what the agent waits for will not come, such as the result of an action."""
        from openhands.core.schema import AgentState

        self.on_status(level, status, message)
        if level == "error" and "DISCONNECTED" not in str(status):
            self.controller.state.last_error = f"{getattr(status, 'value', status)} {message}"
            self.change_state(AgentState.ERROR)

    def on_event(self, event):
        from openhands.events.observation import AgentStateChangedObservation
        from openhands.events.serialization.event import event_to_dict

        if isinstance(event, AgentStateChangedObservation):
            state = getattr(event.agent_state, "value", str(event.agent_state))
            self.channel.say("event", turn=self.turn, name="state", detail=state)
            if state in ENDS:
                self.end(ENDS[state])
            return
        told = event_to_dict(event)
        name = told.get("action") or told.get("observation")
        if told.get("observation") == "run":
            self.command_runs = event.metadata.exit_code == -1
        if name in ("system", "recall", "null"):
            return
        detail = told.get("args") or {"content": told.get("content")}
        self.channel.say("event", turn=self.turn, name=name, source=told.get("source"), detail=clipped(detail))
        if name == "finish" or (name == "message" and told.get("source") == "agent"):
            said = told["args"]
            self.last_message = said.get("final_thought") or said.get("content") or said.get("thought") or ""

    def end(self, reason):
        if not self.over.is_set():
            self.reason = reason
            self.over.set()

    def interrupt(self):
        """Ends what still runs in the shell, be it a loop of the shell's own, which no signal but this ends; true if it did."""
        from openhands.events.action import CmdRunAction

        def runs_after(keys, seconds):
            action = CmdRunAction(command=keys, is_input=True)
            action.set_hard_timeout(seconds)
            seen = self.runtime.run(action)
            return seen.metadata.exit_code == -1

        if not self.command_runs:
            return False
        try:
            self.command_runs = runs_after("", LOOK_SECONDS)
            if not self.command_runs:
                return False
            self.command_runs = runs_after("C-c", INTERRUPT_SECONDS)
            return not self.command_runs
        except Exception as error:
            # Whatever it is, it is stopped before the snapshot.
            print(f"the shell could not be interrupted: {error}", file=sys.stderr)
            return False

    def say(self, turn, prompt):
        from openhands.events import EventSource
        from openhands.events.action import AgentFinishAction, MessageAction

        self.turn = turn
        self.last_message, self.reason = "", None
        self.over.clear()
        # The limit is the session's, and is never raised by itself.
        flag = self.controller.state.iteration_flag
        flag.max_value = flag.current_value + self.wanted["iterations"]
        if self.controller.state.agent_state.value == "finished":
            # What the model queued behind its `finish` would be done first.
            self.agent.reset()
        for event in self.controller.state.history:
            # Else the model sees its `finish` as an empty message, which some providers refuse.
            if isinstance(event, AgentFinishAction) and not event.thought:
                event.thought = event.final_thought or "Finished."
        self.stream.add_event(MessageAction(content=prompt), EventSource.USER)
        self.over.wait()
        error = ""
        if self.reason in ("error", "rate_limited"):
            error = self.controller.state.last_error
        elif self.reason == "broken":
            error = self.broken
        # A session that was cancelled, or is broken, is ended as a whole.
        interrupted = self.reason not in ("broken", "cancelled") and self.interrupt()
        iterations = self.controller.state.iteration_flag.current_value
        self.channel.say(
            "turn_finished",
            turn=self.turn,
            reason=self.reason,
            interrupted=interrupted,
            error=clipped(error or "", 2000),
            message=clipped(self.last_message, 8000),
            iterations=iterations,
        )

    def change_state(self, state):
        from openhands.events import EventSource
        from openhands.events.action import ChangeAgentStateAction

        self.stream.add_event(ChangeAgentStateAction(agent_state=state), EventSource.ENVIRONMENT)

    def cancel(self):
        from openhands.core.schema import AgentState

        self.change_state(AgentState.STOPPED)

    def close(self):
        import asyncio

        asyncio.run(self.controller.close(set_stop_state=False))
        with open(self.folder + "/trajectory.json", "w", encoding="utf-8") as file:
            json.dump(self.controller.get_trajectory(False), file, indent=1)
        self.runtime.close()
        self.stream.close()


def prepare():
    """Imports all that takes time; nothing of it starts a thread or reads what is a trial's own."""
    import psutil  # noqa: F401
    import openhands.agenthub  # noqa: F401
    import openhands.agenthub.codeact_agent.codeact_agent  # noqa: F401
    import openhands.core.main  # noqa: F401
    import openhands.core.setup  # noqa: F401
    import openhands.runtime.action_execution_server  # noqa: F401
    import openhands.runtime.impl.local.local_runtime  # noqa: F401


def main(source, sink):
    """Drives one session over two descriptors."""
    # What the model has it run cannot look into this process: not into its memory, and not at its descriptors.
    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError("the driver cannot be made private")
    channel = Channel(source, sink)
    try:
        start = channel.hear()
        if start.get("type") != "start":
            raise RuntimeError("the first line must be a start message")
        # As `root` or `openhands` it would change the machine's users and sudoers, and leave its private home.
        if os.environ.get("USER", "root") in ("root", "openhands") or not os.environ.get("TMUX_TMPDIR"):
            raise RuntimeError("USER and TMUX_TMPDIR must be the session's own")
        # The server of actions listens on a port, and takes whoever knows this.
        os.environ["SESSION_API_KEY"] = os.urandom(16).hex()
        began = time.monotonic()
        session = Session(start, channel)
        # The model's commands shall not find it in their environment: the server has it already.
        os.environ.pop("SESSION_API_KEY", None)
    except BaseException as error:
        import traceback

        traceback.print_exc()
        channel.say("error", message=clipped(f"{type(error).__name__}: {error}"))
        os._exit(2)
    inbox = queue.Queue()

    def listen():
        while True:
            try:
                message = channel.hear()
            except ValueError as error:
                channel.say("error", message=f"no JSON: {error}")
                continue
            if message.get("type") == "cancel":
                session.cancel()
            else:
                inbox.put(message)
            if message.get("type") == "stop":
                return

    threading.Thread(target=listen, daemon=True).start()
    channel.say("ready", seconds=round(time.monotonic() - began, 2))
    while (message := inbox.get()).get("type") == "turn":
        session.say(message["turn"], message["prompt"])
    session.close()
    channel.say("closed")
    os._exit(0)


if __name__ == "__main__":
    source, sink = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    main(source, sink)
