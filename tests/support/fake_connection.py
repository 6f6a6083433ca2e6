"""One connection to a fake execd: frames in and out, requests that wait, faults on the way.

Source: execd/PROTOCOL.md, sections "Frames" and "hello".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from support.fake_place import FIELDS, RefusalError, Request, Said
from support.memory_stream import MemoryStream
from ws_mcp.core.execd.protocol import ExecdProtocolError, FrameDecoder, encode

HELLO_S = 5.0
IDLE_S = 60.0
ENDS = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)
WAITING = ("read", "signal", "probe")


class Served(Protocol):
    """The execd behind a connection."""

    asked: list[str]
    thawed: anyio.Event

    @property
    def requests(self) -> Collection[str]: ...

    def fault(self, op: str) -> str: ...

    def cut(self) -> None: ...

    def close(self) -> None: ...

    def greet(self, request: Request) -> Said: ...

    async def answer(self, request: Request, body: bytes, scope: anyio.CancelScope) -> tuple[Said, bytes]: ...


class Connection:
    """One client: a task that reads, a task for each open request."""

    def __init__(self, execd: Served, stream: MemoryStream, on_end: Callable[[Connection], None]) -> None:
        self.scope = anyio.CancelScope()
        self._execd = execd
        self._stream = stream
        self._on_end = on_end
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
        self._on_end(self)

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
            if op in WAITING:
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
        if fields is None or request["op"] not in self._execd.requests:
            raise RefusalError("bad_request", f'there is no op "{request["op"]}"')
        unknown = set(request) - fields - {"id", "op"}
        if unknown:
            raise RefusalError("bad_request", f"unknown fields: {', '.join(sorted(unknown))}")

    async def _do(self, request: Request, body: bytes, scope: anyio.CancelScope) -> tuple[Said, bytes]:
        if not self._is_known:
            said = self._execd.greet(request)
            self._is_known, self._has_events = True, bool(request.get("events"))
            return said, b""
        if request["op"] == "cancel":
            if request["target"] in self._waits:
                self._waits[request["target"]].cancel()
            return {}, b""
        return await self._execd.answer(request, body, scope)
