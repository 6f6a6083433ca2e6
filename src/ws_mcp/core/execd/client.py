"""One connection to an execd: many requests at once, answered by id; events pushed to a listener.

It owns the reading task and the pinger, not the stream: who made that closes it. `places` connects again.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

from ws_mcp.core.awaited import EXECD, awaiting
from ws_mcp.core.errors import WsError, one_line
from ws_mcp.core.execd import protocol
from ws_mcp.core.execd.about import Hello, Stats, hello_of, stats_of
from ws_mcp.core.execd.failures import ExecdUnavailableError, OlderExecdError, failure_of
from ws_mcp.core.execd.protocol import NO_START, Event, ExecdProtocolError, FrameDecoder, Header, Reply
from ws_mcp.core.observed import Observed

log = logging.getLogger(__name__)

HELLO_S = 10.0  # a first answer that takes longer will not come
PING_S = 20.0  # execd closes a connection on which nothing arrived for 60 s
PONG_S = 10.0  # a ping unanswered for so long means that the connection is dead
SEND_S = 10.0  # a peer that takes nothing for so long is stuck; half a frame cannot be taken back
CANCEL_S = 1.0  # how long a cancelled caller may still take to tell execd
RECEIVE_BYTES = 256 << 10

STREAM_ERRORS = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)

T = TypeVar("T")
OnEvent = Callable[[Event], None]
WaitFor = Callable[[anyio.Event, float], Awaitable[None]]  # seconds; may give up by raising ExecdUnavailableError


@dataclass(slots=True)
class _Waiter:
    """A request that was sent and its answer, once there is one."""

    done: anyio.Event = field(default_factory=anyio.Event)
    reply: Reply | None = None
    failure: WsError | None = None


class ExecdClient:
    """An open connection, made by `open_execd`. Every call may raise ExecdUnavailableError."""

    hello: Hello

    def __init__(self, stream: ByteStream, on_event: OnEvent | None) -> None:
        self._stream = stream
        self._on_event = on_event
        self._waiting: dict[int, _Waiter] = {}
        self._last_id = 0
        self._outbox: list[bytes] = []
        self._is_sending = False
        self._why_closed = ""
        self.closed = anyio.Event()

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone; then every call fails at once."""
        return bool(self._why_closed)

    @property
    def is_busy(self) -> bool:
        """Whether a request is not answered yet."""
        return bool(self._waiting)

    @property
    def boot(self) -> str:
        """Which start of execd this is."""
        return self.hello.boot

    async def call(
        self, op: str, fields: Header, body: bytes = b"", *, timeout_s: float, wait: WaitFor | None = None
    ) -> Reply:
        """Ask and wait at most `timeout_s` for the answer. A cancelled or late caller ends a wait in execd, too.

        Raises:
            ExecdUnavailableError: closed, broken or late; its `was_sent` tells whether the request had left.
            InvalidArgumentError: it cannot be sent, or execd says that it is wrong.
            WsError: execd refused, as `failures` has it.
        """
        with Observed("execd", op), awaiting(EXECD):
            self._last_id = number = self._last_id + 1
            frame = protocol.encode({"id": number, "op": op, **fields}, body)
            waiter = _Waiter()
            await self._send(frame, number, waiter)
            try:
                with anyio.move_on_after(timeout_s) if wait is None else nullcontext():
                    await (waiter.done.wait() if wait is None else wait(waiter.done, timeout_s))
            finally:
                self._waiting.pop(number, None)
                if not waiter.done.is_set() and (op == "probe" or "wait" in fields or "first" in fields):
                    await self._cancel(number)
            if waiter.reply is not None:
                return waiter.reply
            raise waiter.failure or ExecdUnavailableError(f"no answer within {timeout_s:g} s", was_sent=True)

    async def ask(
        self, op: str, fields: Header, take: Callable[[Reply], T], body: bytes = b"", *, timeout_s: float
    ) -> T:
        """Call, and make a value of the reply; raises OlderExecdError, too: nothing was sent then."""
        if op not in self.hello.requests:
            raise OlderExecdError(op)
        reply = await self.call(op, fields, body, timeout_s=timeout_s)
        try:
            return take(reply)
        except ExecdProtocolError as error:
            raise _broken(error) from error

    async def stats(self) -> Stats:
        """How full the place is now."""
        return await self.ask("stats", {}, lambda reply: stats_of(reply.header), timeout_s=PONG_S)

    async def stop(self, grace_s: float) -> None:
        """End every process of the place (TERM, `grace_s`, KILL), then execd itself."""
        await self.call("stop", {"grace_ms": int(grace_s * 1000)}, timeout_s=grace_s + PONG_S)

    async def greet(self, secret: str, name: str) -> None:
        """Say hello; the first call of a connection, made by `open_execd`."""
        fields = {"protocol": protocol.VERSION, "secret": secret, "client": name, "events": self._on_event is not None}
        reply = await self.call("hello", fields, timeout_s=HELLO_S)
        try:
            self.hello = hello_of(reply.header)
        except ExecdProtocolError as error:
            raise _broken(error) from error

    async def read_all(self) -> None:
        """Hand out what arrives until the connection ends; the reading task of `open_execd`."""
        decoder = FrameDecoder()
        try:
            while True:
                for frame in decoder.feed(await self._stream.receive(RECEIVE_BYTES)):
                    self._take(frame.header, frame.body)
        except STREAM_ERRORS as error:
            self.fail(f"its connection ended ({type(error).__name__})")
        except ExecdProtocolError as error:
            self.fail(NO_START if error.kind == "no_start" else f"it sent what the protocol forbids ({error})")

    async def ping_on(self) -> None:
        """Keep the connection alive and notice when it is not; the pinging task of `open_execd`."""
        while True:
            await anyio.sleep(PING_S)
            try:
                await self.call("ping", {}, timeout_s=PONG_S)
            except WsError as error:
                self.fail(f"it does not answer pings ({error})")
                return

    def fail(self, why: str) -> None:
        """The connection is of no use any more: every open call fails now."""
        if self._why_closed:
            return
        self._why_closed = why
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            waiter.failure = ExecdUnavailableError(why, was_sent=True)
            waiter.done.set()
        self.closed.set()

    async def _send(self, frame: bytes, number: int, waiter: _Waiter | None) -> None:
        if self._why_closed:
            raise ExecdUnavailableError(self._why_closed)
        if waiter is not None:
            self._waiting[number] = waiter
        self._outbox.append(frame)
        if not self._is_sending:
            self._is_sending = True
            try:
                await self._send_outbox()
            finally:
                self._is_sending = False

    async def _send_outbox(self) -> None:
        while self._outbox and not self._why_closed:
            # Shielded, since half a frame would spoil the stream for everyone, and others' frames are among these.
            with anyio.move_on_after(SEND_S, shield=True) as scope:
                # Others that run now get their frames into the same write: each one wakes the engine behind a bridge.
                await anyio.lowlevel.checkpoint()
                frames, self._outbox = self._outbox, []
                try:
                    await self._stream.send(b"".join(frames))
                except STREAM_ERRORS as error:
                    self.fail(f"its connection broke ({type(error).__name__})")
            if scope.cancelled_caught:
                self.fail(f"it took nothing for {SEND_S:g} s")

    async def _cancel(self, target: int) -> None:
        self._last_id = number = self._last_id + 1
        frame = protocol.encode({"id": number, "op": "cancel", "target": target})
        with anyio.move_on_after(CANCEL_S, shield=True):
            try:
                await self._send(frame, number, None)
            except ExecdUnavailableError:
                log.debug("the wait %d ended with its connection", target)

    def _take(self, header: Header, body: bytes) -> None:
        if "event" in header:
            kind = protocol.text(header, "event")
            if self._on_event is not None:
                self._on_event(Event(kind=kind, header=header))
            return
        number = protocol.integer(header, "id", -1)
        error = protocol.child(header, "error")
        failure = failure_of(protocol.text(error, "code"), protocol.text(error, "text")) if error is not None else None
        waiter = self._waiting.pop(number, None)
        if waiter is not None:  # else its caller has gone, or it is the answer to a cancel
            waiter.failure = failure
            waiter.reply = Reply(header=header, body=body) if failure is None else None
            waiter.done.set()


@asynccontextmanager
async def open_execd(
    stream: ByteStream, secret: str, *, on_event: OnEvent | None, client_name: str
) -> AsyncGenerator[ExecdClient]:
    """Speak to the execd at the other end of `stream`. `on_event` is called in the reading task and must not wait.

    Raises:
        ExecdUnavailableError: it refused the secret or the version, or did not answer.
    """
    client = ExecdClient(stream, on_event)
    refused: WsError | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.read_all)
        try:
            await client.greet(secret, client_name)
        except WsError as error:
            refused = error
        if refused is None:
            tasks.start_soon(client.ping_on)
            try:
                yield client
            finally:
                client.fail("this side closed the connection")
        tasks.cancel_scope.cancel()
    if refused is not None:
        raise refused


def _broken(error: ExecdProtocolError) -> ExecdUnavailableError:
    return ExecdUnavailableError(f"it answered what the protocol forbids ({one_line(str(error))})", was_sent=True)
