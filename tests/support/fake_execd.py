"""An execd in memory that speaks the real wire protocol, on the event loop's clock.

Its processes run the little shell of `fake_shell`. Faults: `restart`, `cut`, `lose`, `hang`, `freeze`, `is_down`.

Source: execd/PROTOCOL.md, sections "Frames", "hello", "Events".
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, TaskGroup

from support.fake_place import FIELDS, FakeLimits, FakePlace, RefusalError, Request, Said
from support.fake_process import now_ms
from support.memory_stream import MemoryStream, memory_streams
from ws_mcp.core.errors import PlaceUnavailableError
from ws_mcp.core.execd.protocol import ExecdProtocolError, FrameDecoder, encode

HELLO_S = 5.0
IDLE_S = 60.0
ENDS = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class FakeExecd:
    """Made by `open_fake_execd`. `asked`: the operations that arrived; `now`: the place in this boot."""

    def __init__(self, place: str, secret: str, limits: FakeLimits, tasks: TaskGroup) -> None:
        self.place = place
        self.secret = secret
        self.is_down = False
        self.boots = 1
        self.starts = 0  # processes that really began, over all boots
        self.asked: list[str] = []
        self._limits = limits
        self._tasks = tasks
        self._connections: set[_Connection] = set()
        self._faults: dict[str, str] = {}
        self.thawed = anyio.Event()
        self.thawed.set()
        self.now = FakePlace(place, limits, tasks, self.emit)

    @property
    def boot(self) -> str:
        return f"{self.boots:016x}"

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
        connection = _Connection(self, theirs)
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
        return own | {"platform": "linux/amd64", "started_at_ms": now_ms(), "now_ms": now_ms()}

    def left(self, connection: _Connection) -> None:
        self._connections.discard(connection)


class _Connection:
    """One client: a task that reads, a task for each open request."""

    def __init__(self, execd: FakeExecd, stream: MemoryStream) -> None:
        self.scope = anyio.CancelScope()
        self._execd = execd
        self._stream = stream
        self._has_events = False
        self._is_known = False
        self._waits: dict[int, anyio.CancelScope] = {}
        self._outbox, self._to_send = anyio.create_memory_object_stream[bytes](math.inf)

    def push(self, event: Said) -> None:
        if self._has_events:
            self._outbox.send_nowait(encode(event))

    def close(self) -> None:
        """End it when everything was sent."""
        self._has_events = False
        self._outbox.close()

    async def run(self) -> None:
        with self.scope:
            async with self._stream, self._outbox, self._to_send, anyio.create_task_group() as tasks:
                tasks.start_soon(self._send_on)
                try:
                    await self._receive_on(tasks)
                except (*ENDS, ExecdProtocolError, TimeoutError):
                    tasks.cancel_scope.cancel()
        self._execd.left(self)

    async def _send_on(self) -> None:
        async for frame in self._to_send:
            try:
                await self._stream.send(frame)
            except ENDS:
                return
        await self._stream.aclose()

    async def _receive_on(self, tasks: TaskGroup) -> None:
        decoder = FrameDecoder()
        while True:
            with anyio.fail_after(IDLE_S if self._is_known else HELLO_S):
                chunk = await self._stream.receive()
            if not self._execd.thawed.is_set():
                await self._execd.thawed.wait()
            for frame in decoder.feed(chunk):
                await self._take(dict(frame.header), frame.body, tasks)

    async def _take(self, request: Request, body: bytes, tasks: TaskGroup) -> None:
        op = request["op"]
        self._execd.asked.append(op)
        fault = self._execd.fault(op)
        if fault == "before":
            self._execd.cut()
        elif fault != "hang":
            # Requests that do not wait are carried out in the order in which they came.
            scope = self._waits[request["id"]] = anyio.CancelScope()
            if op in ("read", "signal"):
                tasks.start_soon(self._answer, request, body, scope, fault)
            else:
                await self._answer(request, body, scope, fault)

    async def _answer(self, request: Request, body: bytes, scope: anyio.CancelScope, fault: str) -> None:
        data = b""
        try:
            self._check(request)
            said, data = await self._do(request, body, scope)
        except RefusalError as refusal:
            said = {"error": {"code": refusal.code, "text": str(refusal)}}
        self._waits.pop(request["id"], None)
        if fault == "after":
            self._execd.cut()
        self._outbox.send_nowait(encode({"id": request["id"]} | said, data))
        if not self._is_known:
            self.close()
        if request["op"] == "stop":
            self._execd.close()

    def _check(self, request: Request) -> None:
        fields = FIELDS.get(request["op"])
        if fields is None:
            raise RefusalError("bad_request", f"no operation {request['op']!r}")
        unknown = set(request) - fields - {"id", "op"}
        if unknown:
            raise RefusalError("bad_request", f"unknown fields: {', '.join(sorted(unknown))}")

    async def _do(self, request: Request, body: bytes, scope: anyio.CancelScope) -> tuple[Said, bytes]:
        op, now = request["op"], self._execd.now
        if not self._is_known:
            said = self._execd.greet(request)
            self._is_known, self._has_events = True, bool(request.get("events"))
        elif op == "read":
            return await now.read(request, scope)
        elif op == "start":
            return await now.start(request, scope)
        elif op == "signal":
            said = await now.signal(request)
        elif op == "write":
            said = now.write(request, body)
        else:
            said = self._plain(op, request, now)
        return said, b""

    def _plain(self, op: str, request: Request, now: FakePlace) -> Said:
        if op == "cancel" and request["target"] in self._waits:
            self._waits[request["target"]].cancel()
        if op == "stop":
            return self._execd.stop()
        if op in ("cancel", "ping"):
            return {}
        if op == "get":
            return {"process": now.find(request).describe()}
        if op == "stats":
            return now.stats() | {"held_bytes": 0, "connections": self._execd.connections, "rss_bytes": 1}
        return {"list": now.list, "resize": now.resize}[op](request)


@asynccontextmanager
async def open_fake_execd(
    place: str = "w_place", secret: str = "00ff", limits: FakeLimits | None = None
) -> AsyncGenerator[FakeExecd]:
    """A place with an execd; leaving the block ends its processes and connections."""
    async with anyio.create_task_group() as tasks:
        yield FakeExecd(place, secret, limits or FakeLimits(), tasks)
        tasks.cancel_scope.cancel()
