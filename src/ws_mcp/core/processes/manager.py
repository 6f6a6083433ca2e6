"""The processes of one chat: started, listed, read, written to, signalled, wherever its workspaces are.

It owns nothing that must survive: the execds hold the processes, and another server's manager of the same chat sees the
same. What it remembers only saves questions.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import anyio

from ws_mcp.core.errors import EngineError, WsError
from ws_mcp.core.execd.failures import OutputExpiredError
from ws_mcp.core.execd.protocol import Header, Reply, integer
from ws_mcp.core.ids import NewProcessId, ProcessId, Scope, WorkspaceName
from ws_mcp.core.processes import checks, convert
from ws_mcp.core.processes.atlas import Atlas
from ws_mcp.core.processes.finder import Finder, LostProcessError
from ws_mcp.core.processes.hearing import Hearing
from ws_mcp.core.processes.inquiry import Inquiry, Page
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.processes.model import (
    Listing,
    OutputWindow,
    ProcessInfo,
    ProcessState,
    ReadRequest,
    SignalResult,
    Started,
    StartRequest,
    TtySize,
    Until,
    Woke,
    Written,
)
from ws_mcp.core.processes.port import ClientOf, HasRoom, Leave, OnStarted, PlaceOf, PlaceRef, PlacesOf, StartReceipts
from ws_mcp.core.processes.reach import SHORT_S, Question, Repeat
from ws_mcp.core.processes.render import is_held
from ws_mcp.core.processes.roster import Roster
from ws_mcp.core.processes.starts import Starts

PageOf = tuple[PlaceRef, Page | WsError]

KILL_S = 5.0  # how long execd repeats KILL
WITH_LOST = (None, ProcessState.LOST)
OTHERS = "containers that cannot be listed now (the engine does not answer)"


class ProcessManager:
    """What one chat may do with processes. Every call may raise what its places raise when they do not answer."""

    def __init__(
        self,
        *,
        scope: Scope,
        client_of: ClientOf,
        places_of: PlacesOf,
        place_of: PlaceOf,
        new_id: NewProcessId,
        limits: ProcessLimits,
        receipts: StartReceipts,
        on_started: OnStarted = lambda _place, _process: None,
        has_room: HasRoom | None = None,
        may_write: Leave | None = None,
    ) -> None:
        self._chat = scope.chat
        self._limits = limits
        self._may_write = may_write
        self._atlas = Atlas(places_of, place_of)
        self._roster = Roster(limits.remembered, limits.ended)
        self._inquiry = Inquiry(scope.chat, client_of, self._atlas, self._roster)
        self._finder = Finder(self._inquiry, client_of, self._atlas, self._roster, receipts)
        self._hearing = Hearing(client_of, self._finder)
        self._starts = Starts(
            scope=scope,
            client_of=client_of,
            atlas=self._atlas,
            inquiry=self._inquiry,
            new_id=new_id,
            limits=limits,
            receipts=receipts,
            on_started=on_started,
            has_room=has_room,
        )

    async def attend(self) -> bool:
        """See `Hearing.attend`."""
        return await self._hearing.attend()

    async def start(self, workspace: WorkspaceName | None, request: StartRequest) -> Started:
        """Start a process; a request key makes it safe to repeat.

        Raises:
            InvalidArgumentError, StartError, LimitError: it cannot be started so; nothing was.
            ConflictError: the request key was used for something else.
            OutcomeUnknownError: it may run; the message has the process id.
        """
        return await self._starts.start(workspace, checks.check_start(request, self._limits))

    async def list(self, state: ProcessState | None, limit: int) -> Listing:
        """The processes of the chat, running first, newest first, receipts of old ones included."""
        checks.check_limit(limit, self._limits)
        wanted = state.value if state is not None and state is not ProcessState.LOST else ""
        question = Question(op="list", fields=partial(self._list_fields, wanted, limit))
        answers, unavailable = await self._ask_all(question)
        pages = [answer for _, answer in answers if isinstance(answer, Page)]
        silent = [place.workspace for place, answer in answers if isinstance(answer, WsError)]
        found = [info for page in pages for info in page.processes] if state is not ProcessState.LOST else []
        seen = {info.process for info in found}
        lost = [info for info in self._roster.lost() if info.process not in seen] if state in WITH_LOST else []
        ordered = sorted([*found, *lost], key=lambda info: info.started_at, reverse=True)
        ordered.sort(key=lambda info: info.state is not ProcessState.RUNNING)
        return Listing(
            processes=tuple(ordered[:limit]),
            total=len(lost) + (sum(page.total for page in pages) if state is not ProcessState.LOST else 0),
            running=sum(page.running for page in pages),
            unavailable=(*sorted(silent), *unavailable),
        )

    async def read(self, process: ProcessId, request: ReadRequest) -> OutputWindow:
        """A window of output, after a wait if one is asked for. Receipts and lost processes have an empty one.

        Raises:
            NotFoundError: the chat has no such process.
            InvalidArgumentError: the offset is beyond the end, the pattern is none, or a number is out of range.
        """
        checks.check_read(request, self._limits)
        wait = request.wait
        over_at = anyio.current_time() + (wait.wait_s if wait is not None else 0.0)
        window = await self._window(process, request)
        if wait is None or wait.until is not Until.OUTPUT or request.tail_bytes:
            return window
        while window.woke is Woke.OUTPUT and is_held(window, request.stream):
            # Nothing of it can be shown yet: who waits for output waits for what comes after it.
            left_s = max(0.0, over_at - anyio.current_time())
            beyond = replace(request, offset=window.end, wait=replace(wait, wait_s=left_s))
            later = await self._window(process, beyond)
            window = await self._window(process, replace(request, wait=None))
            window = replace(window, woke=later.woke if window.end == beyond.offset else Woke.OUTPUT)
        return window

    async def _window(self, process: ProcessId, request: ReadRequest) -> OutputWindow:
        wait_s = request.wait.wait_s if request.wait is not None else 0.0
        over_at = anyio.current_time() + wait_s

        def fields() -> Header:
            left_s = max(0.0, over_at - anyio.current_time())
            return {"process": process, "chat": self._chat, **convert.read_fields(request, left_s)}

        def take(reply: Reply, place: PlaceRef) -> OutputWindow:
            return convert.window_of(reply, place, self._chat, process)

        try:
            return await self._finder.about(
                process, Question(op="read", fields=fields, timeout_s=wait_s + SHORT_S), take
            )
        except OutputExpiredError:
            return _empty(await self._finder.info(process))
        except LostProcessError as error:
            if error.info is None:
                raise
            return _empty(error.info)

    async def write(self, process: ProcessId, data: bytes, *, close: bool) -> Written:
        """Write to stdin, and close it after that if asked to; a process that does not read takes less.

        Raises:
            NotFoundError: the chat has no such process.
            ConflictError: it has no open stdin, or has ended.
            ForbiddenError: its workspace may more than is granted now.
            OutcomeUnknownError: how much arrived is not known.
        """
        checks.check_input(data, self._limits)
        if self._may_write is not None:
            await self._may_write((await self._finder.info(process)).workspace)
        fields = {"process": process, "chat": self._chat, "close": close}
        question = Question(op="write", fields=lambda: fields, body=data, repeat=Repeat.NEVER)
        written = await self._finder.about(process, question, lambda reply, _: integer(reply.header, "written"))
        info = await self._finder.info(process)
        return Written(info=info, written=written, asked=len(data), is_closed=close)

    async def resize(self, process: ProcessId, size: TtySize) -> ProcessInfo:
        """Change the size of a terminal.

        Raises:
            NotFoundError: the chat has no such process.
            ConflictError: it has no terminal.
        """
        checks.check_size(size, self._limits)
        fields = {"process": process, "chat": self._chat, **convert.size_fields(size)}
        await self._finder.about(process, Question(op="resize", fields=lambda: fields), lambda reply, _: reply)
        return await self._finder.info(process)

    async def signal(self, process: ProcessId, signal: str, grace_s: float) -> SignalResult:
        """Signal a process with all that it started; with `grace_s` > 0 KILL follows when it did not help.

        Raises:
            NotFoundError: the chat has no such process.
            ConflictError: it has ended.
            InvalidArgumentError: no such signal.
            OutcomeUnknownError: whether it arrived is not known.
        """
        name = checks.signal_of(signal)
        checks.check_grace(grace_s, self._limits)
        fields = {"process": process, "chat": self._chat, "signal": name, "grace_ms": int(grace_s * 1000)}
        repeat = Repeat.ALWAYS if name == "KILL" else Repeat.NEVER
        question = Question(op="signal", fields=lambda: fields, timeout_s=grace_s + KILL_S + SHORT_S, repeat=repeat)
        return await self._finder.about(
            process, question, lambda reply, place: convert.signalled_of(reply.header, place, self._chat, process)
        )

    async def _ask_all(self, question: Question) -> tuple[list[PageOf], tuple[str, ...]]:
        """Ask every place: the known ones while the engine lists all, the others after that."""
        known = tuple(ref for ref in self._atlas.known() if ref.is_running)
        early: list[PageOf] = []

        async def ask_known() -> None:
            early.extend(await self._inquiry.each(known, question, self._inquiry.page_of))

        failure: WsError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask_known)
            try:
                await self._atlas.all()
            except WsError as error:
                failure = error
        places, unavailable = self._places(failure)
        kept = [(ref, answer) for ref, answer in early if ref in places]  # as it is now: not paused, not elsewhere
        late = tuple(ref for ref in places if ref not in known)
        return [*kept, *await self._inquiry.each(late, question, self._inquiry.page_of)], unavailable

    def _places(self, failure: WsError | None) -> tuple[tuple[PlaceRef, ...], tuple[str, ...]]:
        """The places to ask, and what cannot be asked. Without an engine the known ones may still answer."""
        if failure is None:
            return self._finder.settle(), ()
        known = self._atlas.known()
        if not known or not isinstance(failure, EngineError):
            raise failure
        return known, (OTHERS,)

    def _list_fields(self, state: str, limit: int) -> Header:
        fields: dict[str, object] = {"chat": self._chat, "limit": limit, "receipts": True}
        return fields | ({"state": state} if state else {})


def _empty(info: ProcessInfo) -> OutputWindow:
    return OutputWindow(info=info, data=b"", start=info.out.end, end=info.out.end)
