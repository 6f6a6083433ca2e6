"""Tools for processes: start, list, read, write to, signal those of the caller's chat."""

from __future__ import annotations

from typing import Annotated, Literal

from mcp.types import CallToolResult, ResourceLink, TextContent
from pydantic import Field

from ws_mcp.core.errors import InvalidArgumentError, WsError
from ws_mcp.core.ids import ProcessId, WorkspaceName
from ws_mcp.core.processes.command import advise
from ws_mcp.core.processes.model import (
    SIGNALS,
    OutputWindow,
    ProcessState,
    ReadRequest,
    Started,
    StartRequest,
    Stream,
    Streams,
    TtySize,
    Until,
    Wait,
)
from ws_mcp.core.processes.render import Shown, show, show_receipt
from ws_mcp.edge.answer import answered
from ws_mcp.edge.arguments import Command, Environment, Input, LimitSeconds, Offset, ReadSeconds, Text, WaitSeconds
from ws_mcp.edge.core_port import Core, Processes
from ws_mcp.edge.identity import Identity
from ws_mcp.edge.notifier import Notifier
from ws_mcp.edge.process_views import ProcessesView, SignalView, StartView, WriteView
from ws_mcp.edge.uris import output_uri

FIRST_BYTES = 16_000
MAX_BYTES = 39_000  # with its status line an answer stays below the 40,000 characters that hosts show
MIN_BYTES = 128  # more than is held back at a cut, so that reading on always gets on
WAIT_S = 20.0
IDLE_S = 2.0
GRACE_S = 5.0
MAX_LISTED = 200

Process = Annotated[Text, Field(description="p_...")]
Chat = Annotated[Text, Field(description="Handle")]
Output = Annotated[CallToolResult, StartView]


class ProcessTools:
    """The tools for the processes of the caller's chat."""

    def __init__(self, core: Core, identity: Identity, notifier: Notifier) -> None:
        self._core = core
        self._identity = identity
        self._notifier = notifier

    async def start_process(
        self,
        *,
        command: Annotated[Command, Field(description="Shell line, or list of program and arguments")],
        workspace: Annotated[Text, Field(description="Default main")] = "",
        cwd: Annotated[Text, Field(description="Absolute; default /workspace")] = "",
        env: Annotated[Environment | None, Field(description="More variables")] = None,
        pty: Annotated[bool, Field(description="Run in a terminal")] = False,
        keep_stdin: Annotated[bool, Field(description="For write_input")] = False,
        separate_stderr: Annotated[bool, Field(description="Default: with stdout")] = False,
        wait_s: Annotated[WaitSeconds, Field(description="Seconds, 0-45, default 2")] = 2,
        time_limit_s: Annotated[LimitSeconds, Field(description="Kill it after; default never")] = 0,
        request_key: Annotated[Text, Field(description="Same key: same process")] = "",
        chat: Chat = "",
    ) -> Output:
        """Run a command. It goes on in the background when the wait is over.

        Still running is no error: go on with read_output.
        """
        caller = await self._identity.caller(chat)
        advice = advise(command if isinstance(command, str) else tuple(command))
        request = StartRequest(
            command=advice.command,
            cwd=cwd,
            environment=env or {},
            tty=TtySize() if pty else None,
            keeps_stdin=keep_stdin,
            streams=Streams.SEPARATE if separate_stderr else Streams.MERGED,
            time_limit_s=time_limit_s,
            request_key=request_key,
            first=_first_read(0 if advice.promoted_background else wait_s),
        )
        processes = self._core.processes(caller.scope)
        started = await processes.start(WorkspaceName(workspace) if workspace else None, request)
        self._notifier.processes_changed(caller.scope.chat)
        link = _output_link(caller.chat, started.info.process)
        return await _first(processes, started, request.first, advice.note, link)

    async def list_processes(
        self,
        *,
        state: Annotated[Literal["running", "ended", "lost"] | None, Field(description="Default all")] = None,
        limit: Annotated[int, Field(ge=1, description="1-200, default 50")] = 50,
        chat: Chat = "",
    ) -> ProcessesView:
        """List this chat's processes."""
        caller = await self._identity.caller(chat)
        wanted = ProcessState(state) if state else None
        listing = await self._core.processes(caller.scope).list(wanted, min(limit, MAX_LISTED))
        return ProcessesView.of(caller.chat, listing)

    async def read_output(
        self,
        *,
        process_id: Process,
        offset: Annotated[Offset | None, Field(description="First byte; default 0")] = None,
        tail: Annotated[int | None, Field(ge=1, description="Or the last bytes")] = None,
        limit: Annotated[int, Field(ge=1, description="Bytes, 1-39000, default 16000")] = FIRST_BYTES,
        wait_for: Annotated[
            Literal["exit", "output", "pattern", "idle"] | None,
            Field(description="Its end; new output; pattern; 2 s of silence"),
        ] = None,
        pattern: Annotated[Text, Field(description="RE2 expression to wait for")] = "",
        wait_s: Annotated[ReadSeconds | None, Field(description="Seconds, 0-30, default 20 with wait_for")] = None,
        stream: Annotated[Literal["stdout", "stderr"], Field(description="Default stdout")] = "stdout",
        chat: Chat = "",
    ) -> CallToolResult:
        """Read output of a running or ended process as text; can wait first, which never stops it.

        The last line, in brackets: state, next offset.
        """
        request = _read_request(offset, tail, limit, _wait(wait_for, pattern, wait_s), stream)
        caller = await self._identity.caller(chat)
        window = await self._core.processes(caller.scope).read(ProcessId(process_id), request)
        shown = _shown(window, request)
        place = {
            "start": shown.start,
            "end": shown.end,
            "next_offset": shown.next_offset,
            "state": window.info.state.value,
            "is_line_open": bool(shown.text) and not shown.text.endswith("\n"),  # the break before the status is ours
        }
        return CallToolResult(content=[TextContent(type="text", text=shown.whole)], _meta={"dev.ws-mcp/window": place})

    async def write_input(
        self,
        *,
        process_id: Process,
        text: Annotated[Input, Field(description="Sent as is")] = "",
        enter: Annotated[bool, Field(description="Add a newline")] = False,
        close: Annotated[bool, Field(description="Then close stdin")] = False,
        chat: Chat = "",
    ) -> WriteView:
        """Write to the stdin of a process (keep_stdin or pty)."""
        data = text.encode() + (b"\n" if enter and not text.endswith(("\n", "\r")) else b"")
        if not data and not close:
            raise InvalidArgumentError("write_input: there is nothing to do; give `text`, `enter` or `close`")
        caller = await self._identity.caller(chat)
        written = await self._core.processes(caller.scope).write(ProcessId(process_id), data, close=close)
        return WriteView.of(written)

    async def signal_process(
        self,
        *,
        process_id: Process,
        signal: Annotated[Text, Field(description="TERM (default), KILL, INT, HUP, ...")] = "TERM",
        grace_s: Annotated[
            WaitSeconds | None,
            Field(description="Seconds until KILL, 0: none; default 5 for TERM"),
        ] = None,
        chat: Chat = "",
    ) -> SignalView:
        """Stop or signal a process with all its children."""
        name = signal.strip().upper().removeprefix("SIG")
        if name not in SIGNALS:
            raise InvalidArgumentError(f"signal_process: `signal` is unknown; there are {', '.join(SIGNALS)}")
        grace = grace_s if grace_s is not None else GRACE_S if name == "TERM" else 0.0
        caller = await self._identity.caller(chat)
        result = await self._core.processes(caller.scope).signal(ProcessId(process_id), name, grace)
        self._notifier.processes_changed(caller.scope.chat)
        return SignalView.of(result)


def _wait(wait_for: str | None, pattern: str, wait_s: float | None) -> Wait | None:
    """What a read waits for: a pattern and a time to wait each say so by themselves."""
    until = wait_for or ("pattern" if pattern else "output" if wait_s else None)
    if until is None:
        return None
    if (until == "pattern") != bool(pattern):
        raise InvalidArgumentError(
            'read_output: `pattern` and `wait_for`="pattern" belong together; give both or neither'
        )
    return Wait(until=Until(until), wait_s=WAIT_S if wait_s is None else wait_s, pattern=pattern, idle_s=IDLE_S)


def _read_request(offset: int | None, tail: int | None, limit: int, wait: Wait | None, stream: str) -> ReadRequest:
    if offset is not None and tail is not None:
        raise InvalidArgumentError("read_output: give `offset` or `tail`, not both")
    return ReadRequest(
        stream=Stream.ERR if stream == "stderr" else Stream.OUT,
        offset=offset or 0,
        limit_bytes=min(max(limit, MIN_BYTES), MAX_BYTES),
        tail_bytes=min(tail or 0, MAX_BYTES),
        wait=wait,
    )


def _shown(window: OutputWindow, request: ReadRequest) -> Shown:
    if window.info.is_receipt:
        return show_receipt(window.info)
    return show(window, stream=request.stream, wait=request.wait, is_tail=request.tail_bytes > 0)


def _first_read(wait_s: float) -> ReadRequest | None:
    return ReadRequest(limit_bytes=FIRST_BYTES, wait=Wait(until=Until.EXIT, wait_s=wait_s)) if wait_s else None


def _output_link(chat: str, process: str) -> ResourceLink:
    """Where a person can look at the output of a process."""
    return ResourceLink(uri=output_uri(chat, process), name=f"output of {process}", mime_type="text/plain")


async def _first(
    processes: Processes, started: Started, first: ReadRequest | None, note: str, link: ResourceLink
) -> CallToolResult:
    """The state and the first output of a process that was just started."""
    window = started.window or OutputWindow(info=started.info, data=b"", start=0, end=0)
    shown = _shown(window, first or ReadRequest())
    stderr = ""
    if first and window.info.err and window.info.err.end:
        try:
            errors = await processes.read(window.info.process, ReadRequest(stream=Stream.ERR, limit_bytes=FIRST_BYTES))
            stderr = show(errors, stream=Stream.ERR).text
        except WsError as error:
            # It was started: its id must reach the caller, whatever became of this look at it.
            note = f"{note} {error}; read_output can look again".strip()
    view = StartView.of(window.info, shown, stderr=stderr, was_repeated=started.was_repeated, note=note)
    parts = (shown.text, f"[stderr]\n{stderr}" if stderr else "", f"note: {note}" if note else "", shown.status)
    text = "\n".join(part.removesuffix("\n") for part in parts if part)
    return answered(view, text, *((link,) if window.info.state is ProcessState.RUNNING else ()))
