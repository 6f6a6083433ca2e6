"""An execd in memory that speaks the real wire protocol, on the event loop's clock.

Its processes run the little shell of `fake_shell`; its files and ports are `disk` and `ports`. Faults: `restart`,
`cut`, `lose`, `hang`, `freeze`, `is_down`, `is_older` (before it knew of files, probes and releases).

Source: execd/PROTOCOL.md, sections "Frames", "hello", "Events".
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, TaskGroup

from support.fake_connection import Connection
from support.fake_disk import FakeDisk
from support.fake_place import FIELDS, FakeLimits, FakePlace, RefusalError, Request, Said
from support.fake_ports import FakePorts
from support.fake_process import now_ms
from support.memory_stream import MemoryStream, memory_streams
from ws_mcp.core.errors import PlaceUnavailableError
from ws_mcp.core.execd.about import FIRST_REQUESTS


class FakeExecd:
    """Made by `open_fake_execd`. `asked`: the operations that arrived; `now`: the place in this boot."""

    def __init__(self, place: str, secret: str, limits: FakeLimits, tasks: TaskGroup) -> None:
        self.place = place
        self.secret = secret
        self.is_down = False
        self.is_older = False
        self.disk = FakeDisk()
        self.ports = FakePorts()
        self.boots = 1
        self.starts = 0  # processes that really began, over all boots
        self.asked: list[str] = []
        self._limits = limits
        self._tasks = tasks
        self._connections: set[Connection] = set()
        self._faults: dict[str, str] = {}
        self.thawed = anyio.Event()
        self.thawed.set()
        self.now = FakePlace(place, limits, tasks, self.emit)
        self.main_state = "waiting" if limits.is_gated else "running"

    @property
    def boot(self) -> str:
        return f"{self.boots:016x}"

    @property
    def requests(self) -> Collection[str]:
        return FIRST_REQUESTS if self.is_older else FIELDS.keys()

    @property
    def connections(self) -> int:
        return len(self._connections)

    @asynccontextmanager
    async def dial(self) -> AsyncGenerator[ByteStream]:
        """A stream to it, as a `Dial` gives."""
        async with self.connect() as stream:
            yield stream

    def connect(self) -> MemoryStream:
        """A stream to it; who gets it closes it."""
        if self.is_down:
            raise PlaceUnavailableError("its container is stopped; call provision_workspace to start it")
        ours, theirs = memory_streams()
        connection = Connection(self, theirs, self._connections.discard)
        self._connections.add(connection)
        self._tasks.start_soon(connection.run)
        return ours

    def cut(self) -> None:
        """Break every connection."""
        for connection in list(self._connections):
            connection.scope.cancel()

    def close(self) -> None:
        """End every connection when everything was sent."""
        for connection in self._connections:
            connection.close()

    def restart(self) -> None:
        """Another boot: every process of the former one is gone."""
        self.cut()
        self.now.kill_all()
        self.boots += 1
        self.main_state = "waiting" if self._limits.is_gated else "running"
        self.now = FakePlace(self.place, self._limits, self._tasks, self.emit)

    def stop(self) -> Said:
        """End every process, and after the answer itself."""
        gone = sum(process.living for process in self.now.processes.values())
        self.now.kill_all()
        self.is_down = True
        return {"gone": gone, "left": 0}

    def lose(self, op: str, *, is_done: bool) -> None:
        """Break the connections at the next `op`: before it is carried out, or (`is_done`) instead of its reply."""
        self._faults[op] = "after" if is_done else "before"

    def hang(self, op: str) -> None:
        """Never answer `op` again."""
        self._faults[op] = "hang"

    def freeze(self) -> None:
        """Take requests and do nothing, as in a paused container; `thaw` does them."""
        self.thawed = anyio.Event()

    def thaw(self) -> None:
        """Go on with what came meanwhile."""
        self.thawed.set()

    def heal(self) -> None:
        """No more faults."""
        self._faults = {}

    def emit(self, event: Said) -> None:
        if event["event"] == "started":
            self.starts += 1
        for connection in self._connections:
            connection.push(event)

    def fault(self, op: str) -> str:
        """What was asked for; a hang stays, the others happen once."""
        return self._faults[op] if self._faults.get(op) == "hang" else self._faults.pop(op, "")

    def greet(self, request: Request) -> Said:
        ours, theirs = (hashlib.sha256(s.encode()).digest() for s in (self.secret, str(request.get("secret"))))
        if request["op"] != "hello" or ours != theirs:
            raise RefusalError("unauthorized", "say hello with the secret of this place")
        if request.get("protocol") != 1:
            raise RefusalError("bad_version", "this execd speaks 1")
        own: Said = {"protocol": 1, "version": "fake", "place": self.place, "boot": self.boot, "pid": 1, "uid": 0}
        own |= {"platform": "linux/amd64", "started_at_ms": now_ms(), "now_ms": now_ms()}
        if not self.is_older:
            own["requests"] = sorted(self.requests)
        if self._limits.main:
            own["main"] = {"argv": list(self._limits.main), "state": self.main_state}
        return own

    def release(self) -> Said:
        """Start the main command, if it waits."""
        self.main_state = "running"
        return {}

    async def answer(self, request: Request, body: bytes, scope: anyio.CancelScope) -> tuple[Said, bytes]:
        """What is said to a request, and the bytes with it."""
        match request["op"]:
            case "read":
                return await self.now.read(request, scope)
            case "start":
                return await self.now.start(request, scope)
            case "read_file":
                return self.disk.read_file(request)
            case "signal":
                said = await self.now.signal(request)
            case "probe":
                said = await self.ports.probe(request, scope)
            case "write":
                said = self.now.write(request, body)
            case "write_file":
                said = self.disk.write_file(request, body)
            case _:
                said = self._plain(request)
        return said, b""

    def _plain(self, request: Request) -> Said:
        match request["op"]:
            case "stop":
                return self.stop()
            case "release":
                return self.release()
            case "get":
                return {"process": self.now.find(request).describe()}
            case "stats":
                return self.now.stats() | {"held_bytes": 0, "connections": self.connections, "rss_bytes": 1}
            case "ping":
                return {}
            case op:
                now, disk = self.now, self.disk
                does = {"list": now.list, "resize": now.resize}
                return (does | {"stat": disk.stat, "list_directory": disk.list_directory})[op](request)


@asynccontextmanager
async def open_fake_execd(
    place: str = "w_place", secret: str = "00ff", limits: FakeLimits | None = None
) -> AsyncGenerator[FakeExecd]:
    """A place with an execd; leaving the block ends its processes and connections."""
    async with anyio.create_task_group() as tasks:
        yield FakeExecd(place, secret, limits or FakeLimits(), tasks)
        tasks.cancel_scope.cancel()
