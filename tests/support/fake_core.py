"""A core in memory: chats, workspaces and scripted processes, for tests of what speaks MCP.

It has the promises that the edge leans on (one "not found" for unknown and foreign, absolute offsets, waits that end)
and nothing of an engine. What a process writes and how it ends is said by the test.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import anyio

from support.memory_tickets import MemoryTickets
from ws_mcp.core.chats import ChatNotFoundError, ListedChat
from ws_mcp.core.clock import utc_now
from ws_mcp.core.closing import Closed, Closing
from ws_mcp.core.devcontainers.build_logs import BuildLog
from ws_mcp.core.devcontainers.model import (
    Acted,
    DevContainer,
    DevContainerListing,
    Freshness,
    Hook,
    Key,
    RecreateAsk,
    Recreated,
    Status,
    Target,
    Verdict,
)
from ws_mcp.core.engine.model import Limits
from ws_mcp.core.errors import ConflictError, EngineUnavailableError, InvalidArgumentError, NotFoundError, StartError
from ws_mcp.core.ids import ChatId, ContainerId, PlaceId, PrincipalId, ProcessId, Scope, WorkspaceName, new_ticket_id
from ws_mcp.core.job import StillRunning
from ws_mcp.core.processes.model import (
    Exit,
    Listing,
    OutputRange,
    OutputWindow,
    ProcessInfo,
    ProcessState,
    ReadRequest,
    SignalResult,
    Started,
    StartRequest,
    Stream,
    Streams,
    TtySize,
    Until,
    Wait,
    Woke,
    Written,
)
from ws_mcp.core.tickets import Tickets
from ws_mcp.core.workspaces.model import (
    Access,
    Ask,
    DirectoryListing,
    FileEntryInfo,
    FileSlice,
    Pending,
    PortUrl,
    Provisioned,
    Removed,
    Stopped,
    Workspace,
    WorkspaceKind,
    WorkspaceListing,
    WorkspaceSpec,
    WorkspaceState,
)
from ws_mcp.core.workspaces.rules import RulesOf, WorkspaceRules
from ws_mcp.edge.core_port import Report

DEV = DevContainer(
    key=Key(folder="/src/app", config="/src/app/.devcontainer/devcontainer.json"),
    name="app",
    status=Status.RUNNING,
    container=ContainerId("d" * 64),
    verdict=Verdict(freshness=Freshness.DIRTY, reasons=("Dockerfile changed",)),
    user="dev",
    path="/workspaces/app",
)
BEGAN = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
Script = Callable[["FakeProcess"], None]
"""What a process does when it is started: it may write and end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeChat:
    id: ChatId
    handle: str
    label: str
    is_default: bool
    is_due: bool = False


class FakeProcess:
    """One process; tests write its output and end it."""

    def __init__(self, info: ProcessInfo, request: StartRequest) -> None:
        self.info = info
        self.request = request
        self.output = {Stream.OUT: b"", Stream.ERR: b""}
        self.kept_from = 0
        self.is_closed = False
        self.input = b""
        self.changed = anyio.Event()

    def write(self, data: bytes, stream: Stream = Stream.OUT) -> None:
        self.output[stream] += data
        self._update()

    def close(self) -> None:
        """Close its output, and run on."""
        self.is_closed = True
        self._update()

    def end(self, code: int | None = 0, signal: str | None = None, reason: str = "") -> None:
        ended = Exit(code=code, signal=signal, reason=reason)
        self.info = replace(self.info, state=ProcessState.ENDED, exit=ended, duration_s=1.5, has_stdin=False)
        self._update()

    def receipt(self, last: str) -> None:
        self.info = replace(self.info, is_receipt=True, last=last)

    def _update(self) -> None:
        is_final = self.is_closed or self.info.state is ProcessState.ENDED
        out, err = (
            OutputRange(end=len(data), head_end=len(data), tail_start=len(data), is_final=is_final)
            for data in self.output.values()
        )
        is_apart = self.request.streams is Streams.SEPARATE
        self.info = replace(self.info, out=out, err=err if is_apart else None)
        self.changed.set()
        self.changed = anyio.Event()


@dataclass(kw_only=True)
class FakeProcesses:
    """The processes of one chat."""

    core: FakeCore
    scope: Scope
    made: dict[ProcessId, FakeProcess] = field(default_factory=dict[ProcessId, FakeProcess])

    async def attend(self) -> bool:
        self.core.attended.append(self.scope)
        is_new, self.core.has_new_places = self.core.has_new_places, False
        return is_new

    async def start(self, workspace: WorkspaceName | None, request: StartRequest) -> Started:
        name = workspace or WorkspaceName("main")
        if self.core.fault:
            raise self.core.fault
        if name not in self.core.made.get(self.scope, {}):
            raise NotFoundError("workspace", name, self.core.made.get(self.scope, {}), "Call provision_workspace.")
        for process in self.made.values():
            if request.request_key and process.request.request_key == request.request_key:
                return replace(await self._started(process), was_repeated=True)
        if request.command == "no-such-command":
            raise StartError("sh has no command 'no-such-command'; nothing was started")
        process = FakeProcess(self._info(name, request), request)
        self.made[process.info.process] = process
        process.write(b"")
        self.core.script(process)
        return await self._started(process)

    async def _started(self, process: FakeProcess) -> Started:
        first = process.request.first
        if first is None or process.info.is_receipt:
            return Started(info=process.info)
        window = await self._window(process, first)
        return Started(info=window.info, window=window)

    async def list(self, state: ProcessState | None, limit: int) -> Listing:
        infos = [process.info for process in self.made.values() if state in (None, process.info.state)]
        infos.sort(key=lambda info: info.state is not ProcessState.RUNNING)
        running = sum(info.state is ProcessState.RUNNING for info in infos)
        return Listing(processes=tuple(infos[:limit]), total=len(infos), running=running)

    async def read(self, process: ProcessId, request: ReadRequest) -> OutputWindow:
        found = self._found(process)
        if self.core.read_fault:
            raise self.core.read_fault
        return await self._window(found, request)

    async def _window(self, found: FakeProcess, request: ReadRequest) -> OutputWindow:
        data = found.output[request.stream]
        if request.offset > len(data):
            raise InvalidArgumentError(f"offset {request.offset} is beyond the end of the output, {len(data)}")
        woke, match = await _waited(found, request) if request.wait else (None, None)
        data = found.output[request.stream]
        start = max(0, len(data) - request.tail_bytes) if request.tail_bytes else request.offset
        window = data[start : start + (request.tail_bytes or request.limit_bytes)]
        return OutputWindow(info=found.info, data=window, start=start, end=start + len(window), woke=woke, match=match)

    async def write(self, process: ProcessId, data: bytes, *, close: bool) -> Written:
        found = self._found(process)
        if not found.info.has_stdin:
            raise ConflictError(f"{process} takes no input; start it with keep_stdin or pty")
        found.input += data
        found.info = replace(found.info, has_stdin=not close)
        return Written(info=found.info, written=len(data), asked=len(data), is_closed=close)

    async def resize(self, process: ProcessId, size: TtySize) -> ProcessInfo:
        return self._found(process).info

    async def signal(self, process: ProcessId, signal: str, grace_s: float) -> SignalResult:
        found = self._found(process)
        if found.info.state is ProcessState.ENDED:
            raise ConflictError(f"{process} has ended")
        found.end(code=None, signal=signal)
        self.core.graces.append(grace_s)
        return SignalResult(info=found.info, signalled=2, gone=2, left=0)

    def running(self) -> list[FakeProcess]:
        return [process for process in self.made.values() if process.info.state is ProcessState.RUNNING]

    def _found(self, process: ProcessId) -> FakeProcess:
        if process not in self.made:
            raise NotFoundError("process", process, self.made, "list_processes names them.")
        return self.made[process]

    def _info(self, workspace: WorkspaceName, request: StartRequest) -> ProcessInfo:
        command = request.command if isinstance(request.command, str) else " ".join(request.command)
        return ProcessInfo(
            process=self.core.new_id(),
            workspace=workspace,
            place=PlaceId("place"),
            command=command,
            cwd=request.cwd,
            state=ProcessState.RUNNING,
            started_at=BEGAN,
            has_tty=request.tty is not None,
            has_stdin=request.keeps_stdin or request.tty is not None,
        )


async def _waited(process: FakeProcess, request: ReadRequest) -> tuple[Woke, tuple[int, int] | None]:
    wait = request.wait
    assert wait is not None
    with anyio.move_on_after(wait.wait_s):
        while True:
            data = process.output[request.stream]
            found = re.search(wait.pattern.encode(), data[request.offset :]) if wait.until is Until.PATTERN else None
            if found:
                return Woke.PATTERN, (request.offset + found.start(), request.offset + found.end())
            if process.info.state is ProcessState.ENDED:
                return Woke.EXIT, None
            if wait.until is Until.OUTPUT and len(data) > request.offset:
                return Woke.OUTPUT, None
            if _is_idle(wait):
                return Woke.IDLE, None
            await process.changed.wait()
    return Woke.TIMEOUT, None


def _is_idle(wait: Wait) -> bool:
    return wait.until is Until.IDLE


class FakeFiles:
    """The files of all workspaces: there is one of each path."""

    def __init__(self) -> None:
        self.there: dict[str, bytes] = {"/workspace/hello.txt": b"hello\n"}
        self.programs: set[str] = set()
        self.asked: list[tuple[Scope, WorkspaceName | None]] = []

    async def read(self, scope: Scope, name: WorkspaceName | None, path: str, offset: int, limit: int) -> FileSlice:
        self.asked.append((scope, name))
        whole = path if path.startswith("/") else f"/workspace/{path}"
        if whole not in self.there:
            raise InvalidArgumentError(f"there is no {whole!r} in the workspace; list its directory")
        content = self.there[whole]
        return FileSlice(path=whole, content=content[offset : offset + limit], offset=offset, size=len(content))

    async def write(
        self, scope: Scope, name: WorkspaceName | None, path: str, content: bytes, *, is_executable: bool
    ) -> FileSlice:
        whole = path if path.startswith("/") else f"/workspace/{path}"
        self.there[whole] = content
        if is_executable:
            self.programs.add(whole)
        return FileSlice(path=whole, content=b"", offset=0, size=len(content))

    async def list(self, scope: Scope, name: WorkspaceName | None, path: str, limit: int) -> DirectoryListing:
        there = sorted((path.removeprefix("/workspace/"), len(content)) for path, content in self.there.items())
        entries = [FileEntryInfo(name=name, kind="file", size=size) for name, size in there[:limit]]
        return DirectoryListing(path="/workspace", entries=tuple(entries), total=len(there))


class FakeDevContainers:
    """The dev containers of all chats."""

    def __init__(self) -> None:
        self.there: dict[str, DevContainer] = {}
        self.asked: list[tuple[Target, RecreateAsk, float]] = []
        self.logs: dict[str, BuildLog] = {}
        self.pending: StillRunning | None = None
        self.fault: Exception | None = None
        self.unknown = ""
        self.stops = 0
        self.lists = 0  # how often they were asked for

    async def list(self, *, is_fresh: bool = False) -> DevContainerListing:
        self.lists += 1
        return DevContainerListing(devcontainers=tuple(self.there.values()), unknown=self.unknown)

    async def log(self, name: str) -> BuildLog:
        if name not in self.logs:
            raise NotFoundError("build log of dev container", name, (), "recreate_devcontainer writes one.")
        return self.logs[name]

    async def recreate(
        self, target: Target, ask: RecreateAsk, report: Report, wait_s: float = 45
    ) -> Recreated | StillRunning:
        self.asked.append((target, ask, wait_s))
        if self.fault:
            raise self.fault
        await report("building the image: step 2/4 RUN make", 0.3)
        if self.pending:
            return self.pending
        old = self.there.get(target.name, DEV)
        made = replace(old, container=ContainerId("e" * 64), verdict=Verdict(freshness=Freshness.CLEAN))
        if not ask.is_dry_run:
            self.there[made.name] = made
        hooks = (Hook(name="postCreateCommand", duration_s=1.24, is_ok=True),)
        return Recreated(
            devcontainer=old if ask.is_dry_run else made,
            change="recreated",
            old_container=old.container,
            reasons=old.verdict.reasons if old.verdict else (),
            hooks=() if ask.is_dry_run else hooks,
            runs=("devcontainer build",) if ask.is_dry_run else (),
            duration_s=3.21,
        )

    async def stop(self, name: str, report: Report, wait_s: float = 45) -> Acted | StillRunning:
        if self.there[name].status is Status.STOPPED:
            raise ConflictError(f"dev container {name!r} is stopped already")
        self.stops += 1
        return self.pending or self._set(name, Status.STOPPED)

    async def restart(self, name: str, report: Report, wait_s: float = 45) -> Acted | StillRunning:
        self.stops += self.there[name].status is not Status.STOPPED
        return self.pending or self._set(name, Status.RUNNING)

    async def remove(self, name: str, report: Report, wait_s: float = 45) -> Acted | StillRunning:
        if self.pending:
            return self.pending
        name = next(each.name for each in self.there.values() if name in (each.name, (each.container or "")[:12]))
        del self.there[name]
        return Acted(devcontainer=None, containers=(name,))

    def _set(self, name: str, status: Status) -> Acted:
        self.there[name] = replace(self.there[name], status=status)
        return Acted(devcontainer=self.there[name], containers=(name,))


class FakeCore:
    """See `edge.core_port.Core`."""

    def __init__(self, *, has_engine: bool = True, script: Script = lambda _: None) -> None:
        self.rules = WorkspaceRules(default_image="debian:13", runtimes={"py": "python:3.14"})
        self.rules_of: RulesOf = lambda _: self.rules
        self.asks: list[Ask] = []
        self.pending: Pending | None = None  # what a provision answers instead
        self.answer: Callable[[Provisioned], Provisioned] = lambda made: made  # what else it says
        self.files = FakeFiles()
        self.devcontainers = FakeDevContainers()
        self.has_engine = has_engine
        self.script = script
        self.fault: Exception | None = None
        self.attended: list[Scope] = []
        self.has_new_places = False
        self.read_fault: Exception | None = None
        self.provision_fault: Exception | None = None
        self.unknown = ""
        self.close_failures: tuple[str, ...] = ()
        self.graces: list[float] = []
        self.specs: list[WorkspaceSpec] = []
        self.asked_chats: list[tuple[PrincipalId, str]] = []
        self.cannot_note = False  # that a default chat is used: the disk is full
        self.chats_by: dict[tuple[PrincipalId, str], FakeChat] = {}
        self.made: dict[Scope, dict[WorkspaceName, Workspace]] = {}
        self.by_scope: dict[Scope, FakeProcesses] = {}
        self.tickets = Tickets(MemoryTickets(), utc_now, new_ticket_id)
        self._ids = 0

    def new_id(self) -> ProcessId:
        self._ids += 1
        return ProcessId(f"p_{self._ids:08}")

    def devcontainers_of(self, principal: PrincipalId) -> FakeDevContainers:
        return self.devcontainers

    async def engine_answers(self) -> bool:
        return self.has_engine

    def default_chat_of(self, principal: PrincipalId, hint: str) -> FakeChat:
        return _chat(f"{principal}/{hint}", hint, is_default=True)

    async def default_chat(self, principal: PrincipalId, hint: str) -> FakeChat:
        self.asked_chats.append((principal, hint))
        found = self._remember(principal, self.default_chat_of(principal, hint))
        return replace(found, is_due=True) if self.cannot_note else found

    async def new_chat(self, principal: PrincipalId, label: str) -> FakeChat:
        return self._remember(principal, _chat(f"new-{len(self.chats_by)}", label, is_default=False))

    async def look_at_chat(self, principal: PrincipalId, handle: str) -> FakeChat:
        return replace(await self.chat(principal, handle), is_due=True)

    async def chat(self, principal: PrincipalId, handle: str) -> FakeChat:
        if (principal, handle) not in self.chats_by:
            raise ChatNotFoundError
        return self.chats_by[principal, handle]

    async def provision(self, scope: Scope, spec: WorkspaceSpec, ask: Ask, report: Report) -> Provisioned | Pending:
        self.specs.append(spec)
        self.asks.append(ask)
        if self.provision_fault:
            raise self.provision_fault
        if spec.kind is WorkspaceKind.CONTAINER and not self.has_engine:
            raise EngineUnavailableError("no container engine answers")
        await report("creating the container", 0.4)
        await report("still creating it", 0.4)
        await report("waiting for execd", 0.9)
        if self.pending is not None:
            return self.pending
        chat = self.made.setdefault(scope, {})
        change = "none" if spec.name in chat else "created"
        if ask.is_dry_run:
            found = chat.get(spec.name)
            return self.answer(Provisioned(workspace=found, change=change, duration_s=0.1, request=_request(spec)))
        chat.setdefault(spec.name, _workspace(spec, self.rules.default_image))
        return self.answer(Provisioned(workspace=chat[spec.name], change=change, duration_s=0.1))

    async def stop(self, scope: Scope, name: WorkspaceName, *, restarts: bool) -> Stopped:
        if name not in self.made.get(scope, {}):
            raise NotFoundError("workspace", name, self.made.get(scope, {}), "Call provision_workspace to make one.")
        state = WorkspaceState.RUNNING if restarts else WorkspaceState.STOPPED
        self.made[scope][name] = replace(self.made[scope][name], state=state)
        return Stopped(workspace=self.made[scope][name], ended_processes=1)

    async def remove(self, scope: Scope, name: WorkspaceName, *, keep_volume: bool) -> Removed:
        found = self.made.get(scope, {}).pop(name, None)
        if found is None:
            raise NotFoundError("workspace", name, self.made.get(scope, {}), "Call provision_workspace to make one.")
        return Removed(name=name, ended_processes=1, kept_volume=found.volume if keep_volume else "")

    async def chats(self, principal: PrincipalId) -> tuple[ListedChat, ...]:
        return tuple(
            ListedChat(id=c.id, label=c.label, is_default=c.is_default, created_at=BEGAN, used_at=BEGAN)
            for (owner, _), c in reversed(self.chats_by.items())
            if owner == principal
        )

    async def close(self, scope: Scope, how: Closing) -> Closed:
        names = tuple(self.made.get(scope, {}))
        running = self.processes(scope).running()
        for process in running:
            process.end(code=None, signal="TERM")
        if how is Closing.STOP:
            for name in names:
                await self.stop(scope, name, restarts=False)
            return Closed(workspaces=names, ended_processes=len(running), failures=self.close_failures)
        kept = [name for name in names if how is Closing.REMOVE and self.made[scope][name].volume]
        self.made.pop(scope, None)
        found = next(key for key, chat in self.chats_by.items() if chat.id == scope.chat)
        is_forgotten = how is Closing.DELETE and not self.chats_by[found].is_default
        if is_forgotten:
            del self.chats_by[found]
        return Closed(
            workspaces=names,
            kept_data=tuple(kept),
            ended_processes=len(running),
            is_forgotten=is_forgotten,
            failures=self.close_failures,
        )

    async def workspaces(self, scope: Scope) -> WorkspaceListing:
        return WorkspaceListing(workspaces=tuple(self.made.get(scope, {}).values()), unknown=self.unknown)

    def processes(self, scope: Scope) -> FakeProcesses:
        return self.by_scope.setdefault(scope, FakeProcesses(core=self, scope=scope))

    def process(self, process: object) -> FakeProcess:
        """A process, whoever has it."""
        return next(p.made[i] for p in self.by_scope.values() for i in p.made if i == process)

    def _remember(self, principal: PrincipalId, chat: FakeChat) -> FakeChat:
        self.chats_by[principal, chat.handle] = chat
        return chat


def _chat(seed: str, label: str, *, is_default: bool) -> FakeChat:
    digest = hashlib.sha256(seed.encode()).hexdigest()
    return FakeChat(id=ChatId(digest[32:48]), handle=f"c_{digest[:22]}", label=label, is_default=is_default)


def _request(spec: WorkspaceSpec) -> dict[str, object]:
    mounts = [
        {"Target": "/.ws-mcp", "Type": "volume", "Source": "execd"},
        {"Target": "/workspace", "Type": "bind", "Source": spec.folder},
        {"Target": "/home/me/repo/.git", "Type": "bind", "Source": "/home/me/repo/.git"},
    ]
    return {"Image": spec.image, "HostConfig": {"Mounts": mounts, "Memory": 1}}


def _workspace(spec: WorkspaceSpec, default_image: str) -> Workspace:
    is_container = spec.kind is WorkspaceKind.CONTAINER
    return Workspace(
        name=spec.name,
        kind=spec.kind,
        place=PlaceId("place"),
        state=WorkspaceState.RUNNING,
        image=spec.image or (default_image if is_container else ""),
        tier=spec.tier or 2,
        created_at=BEGAN,
        ports=tuple(PortUrl(container_port=p, host="127.0.0.1", host_port=40000 + p) for p in spec.ports or ()),
        volume="" if spec.has_volume is False or spec.folder else "data",
        access=spec.access or Access.NONE,
        network=(spec.network or "own") if is_container else "",
        limits=Limits(memory_bytes=512 << 20, cpus=1, pids=256) if is_container else Limits(),
        path="/workspace" if is_container else "/home/someone/secret/data",
        sandbox="" if is_container else "none",
    )
