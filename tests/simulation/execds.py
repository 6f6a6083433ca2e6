"""The execds in the containers of a fake engine: the real wire, faults at each frame, and a record of what really ran.

All processes have one and the same pid, as if the kernel gave it again at once: nothing may depend on it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import anyio
from anyio.abc import ByteStream, TaskGroup
from simulation.faults import Door, Fault
from simulation.seeding import SERVER
from simulation.server import Server
from support.fake_execd import FakeExecd
from support.fake_files import Entry, inner_path
from support.fake_place import FakeLimits, RefusalError, Request, Said
from support.fake_process import FakeProcess
from support.memory_stream import MemoryStream

from ws_mcp.core.engine.model import Container
from ws_mcp.core.execd.delivery import VERIFIER
from ws_mcp.core.workspaces.request import SECRETS

PID = 42
_AS_FAKE = {
    Fault.NONE: "",
    Fault.FAIL: "before",
    Fault.CRASH: "before",
    Fault.LOSE: "after",
    Fault.CRASH_AFTER: "after",
    Fault.HANG: "hang",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A process that really began, and where."""

    process: FakeProcess
    container: str
    place: str
    boot: int
    key: str


class GuardedStream(ByteStream):
    """What a server writes; a dead one writes nothing."""

    def __init__(self, stream: MemoryStream, server: Server | None) -> None:
        self._stream = stream
        self._server = server

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._stream.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        if self._server is not None:
            self._server.check_alive()
        await self._stream.send(item)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class SimExecd(FakeExecd):
    """The execd of one container. Like the real one it only knows the hash of its secret."""

    def __init__(self, container: Container, execds: Execds) -> None:
        argv = (*container.entrypoint, *container.command)
        place = argv[argv.index("--place") + 1]
        own = argv[argv.index("--") + 1 :] if "--" in argv else ()
        limits = FakeLimits(main=own, is_gated="--gated" in argv)
        super().__init__(place, "", limits, execds.tasks)
        self.container = container.id
        self._verifier = container.environment[VERIFIER]
        self._all = execds
        self._crashes: Server | None = None
        self.forget_secrets()

    def forget_secrets(self) -> None:
        """They are in memory, which goes with the container."""
        secrets = inner_path(SECRETS)
        for name in [name for name in self.disk.tree.entries if name.startswith(secrets)]:
            del self.disk.tree.entries[name]
        self.disk.tree.add(secrets, Entry(kind=b"5", mode=0o1777))

    @property
    def boot(self) -> str:
        # As random as a real one: in another container it is another.
        return f"{self.container[:8]}{self.boots:08x}"

    def greet(self, request: Request) -> Said:
        if hashlib.sha256(str(request.get("secret")).encode()).hexdigest() != self._verifier:
            raise RefusalError("unauthorized", "say hello with the secret of this place")
        return super().greet({**request, "secret": self.secret})

    def fault(self, op: str) -> str:
        server = SERVER.get()
        if not isinstance(server, Server) or server.is_dead:
            return ""
        fault = server.meets(Door.EXECD, op, dies_now=False)
        if fault is Fault.CRASH:
            server.kill()
        self._crashes = server if fault is Fault.CRASH_AFTER else None
        return _AS_FAKE[fault]

    def cut(self) -> None:
        super().cut()
        dying, self._crashes = self._crashes, None
        if dying is not None:
            dying.kill()

    def emit(self, event: Said) -> None:
        if event["event"] == "started":
            described = event["process"]
            assert isinstance(described, dict)
            process = self.now.processes[str(described["process"])]
            process.pid = PID
            self._all.began(self, process)
        super().emit(event)


class Execds:
    """All of one engine, by container."""

    def __init__(self, tasks: TaskGroup) -> None:
        self.tasks = tasks
        self.ran: dict[str, Ran] = {}  # by process id, over all boots
        self.twice: list[str] = []  # processes that began a second time
        self._execds: dict[str, SimExecd] = {}

    def connect(self, container: Container) -> ByteStream:
        """A stream to the execd of a container that runs."""
        execd = self._execds.get(container.id)
        if execd is None:
            execd = self._execds[container.id] = SimExecd(container, self)
        execd.is_down = False
        server = SERVER.get()
        return GuardedStream(execd.connect(), server if isinstance(server, Server) else None)

    def stopped(self, container: str) -> None:
        """The container ended, and all in it."""
        if container in self._execds:
            execd = self._execds[container]
            execd.thaw()
            execd.restart()
            execd.forget_secrets()
            execd.is_down = True

    def paused(self, container: str, *, is_paused: bool) -> None:
        if container in self._execds:
            (self._execds[container].freeze if is_paused else self._execds[container].thaw)()

    def cut(self, container: str) -> None:
        """Break every connection into a container."""
        if container in self._execds:
            self._execds[container].cut()

    def of(self, container: str) -> SimExecd | None:
        return self._execds.get(container)

    def began(self, execd: SimExecd, process: FakeProcess) -> None:
        key = str(process.request.get("key") or "")
        if process.id in self.ran:
            self.twice.append(process.id)
        self.ran[process.id] = Ran(
            process=process, container=execd.container, place=execd.place, boot=execd.boots, key=key
        )

    def remembers(self, process: str) -> bool:
        """Whether an execd that runs knows the process now."""
        ran = self.ran.get(process)
        execd = self._execds.get(ran.container) if ran is not None else None
        return execd is not None and not execd.is_down and process in execd.now.processes

    def is_alive(self, process: str) -> bool:
        """Whether it runs now."""
        return self.remembers(process) and self.ran[process].process.state == "running"


async def settled() -> None:
    """Let everything that is due be done."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
