"""Exec and event streams, over connections of our own: no SDK, no worker thread and no task in between.

An exec stream is made with two requests on one connection: the first creates the exec, the second starts it and turns
the connection into its stdin and stdout.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

from ws_mcp.core.engine.answers import event_of
from ws_mcp.core.engine.connection import RECEIVE_BYTES, HttpConnection, Target, handshake, refusal
from ws_mcp.core.engine.faults import Call
from ws_mcp.core.engine.frames import FrameDecoder, FrameError
from ws_mcp.core.engine.model import EngineEvent, ExecSpec
from ws_mcp.core.engine.names import checked_path, is_id
from ws_mcp.core.engine.record import Record
from ws_mcp.core.engine.transport import open_transport
from ws_mcp.core.engine.wire import HttpError
from ws_mcp.core.errors import one_line
from ws_mcp.core.ids import ContainerId

log = logging.getLogger(__name__)

MAX_STDERR_BYTES = 2048  # logged per stream: enough for a reason, too little to flood the log


class ExecStream(ByteStream):
    """Stdin and stdout of a command in a container; what it says on stderr is logged."""

    def __init__(self, stream: ByteStream, received: bytes, label: str) -> None:
        self._stream = stream
        self._received = received  # what came with the head of the answer
        self._stdout = b""
        self._frames = FrameDecoder()
        self._label = label
        self._stderr_left = MAX_STDERR_BYTES

    async def receive(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """Bytes of stdout.

        Raises:
            anyio.EndOfStream: the command ended, or its container did.
            anyio.BrokenResourceError: the connection broke.
        """
        if self._stdout or self._received:
            await anyio.lowlevel.checkpoint()
        while not self._stdout:
            received, self._received = self._received or await self._stream.receive(RECEIVE_BYTES), b""
            try:
                self._stdout, stderr = self._frames.feed(received)
            except FrameError as error:
                raise anyio.BrokenResourceError from error
            if stderr:
                self._log(stderr)
        if len(self._stdout) <= max_bytes:
            stdout, self._stdout = self._stdout, b""
        else:
            stdout, self._stdout = self._stdout[:max_bytes], self._stdout[max_bytes:]
        return stdout

    async def send(self, item: bytes) -> None:
        """Bytes of stdin."""
        await self._stream.send(item)

    async def send_eof(self) -> None:
        """End stdin; not possible over TLS."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the connection: the command sees the end of its stdin."""
        await self._stream.aclose()

    def _log(self, stderr: bytes) -> None:
        if self._stderr_left > 0:
            text = one_line(stderr[: self._stderr_left].decode(errors="replace"))
            self._stderr_left -= len(stderr)
            log.warning("a command in container %s says: %s", self._label, text)


@asynccontextmanager
async def open_exec(target: Target, container: ContainerId, spec: ExecSpec) -> AsyncGenerator[ExecStream]:
    """See `Engine.open_exec`."""
    label = container[:12]
    async with AsyncExitStack() as stack:
        with handshake(target), anyio.fail_after(target.handshake_s):
            connection = HttpConnection(await stack.enter_async_context(open_transport(target.endpoint)), target)
            created = await _asked(connection, label, f"/containers/{container}/exec", _exec_body(spec))
            exec_id = created.text("Id")
            if not is_id(exec_id):
                raise HttpError("the engine gave the command no id")
            start = {"Detach": False, "Tty": False}
            head = await connection.request("POST", f"/exec/{exec_id}/start", start, upgrades=True)
            if head.status not in (101, 200):
                raise await refusal(connection, head, Call.EXEC, label)
        yield ExecStream(connection.stream, connection.rest, label)


@asynccontextmanager
async def open_events(
    target: Target, kinds: tuple[str, ...] = ("container", "volume", "network", "image")
) -> AsyncGenerator[AsyncIterator[EngineEvent]]:
    """See `Engine.open_events`; `kinds` as in `EngineEvent`."""
    async with AsyncExitStack() as stack:
        with handshake(target), anyio.fail_after(target.handshake_s):
            connection = HttpConnection(await stack.enter_async_context(open_transport(target.endpoint)), target)
            head = await connection.request("GET", await _events_path(connection, kinds))
            if head.status != 200 or not head.is_chunked:
                raise await refusal(connection, head, Call.EVENTS, "")
        async with aclosing(_events(connection)) as events:
            yield events


async def _asked(connection: HttpConnection, label: str, path: str, body: object) -> Record:
    head = await connection.request("POST", path, body)
    if head.status >= 400:
        raise await refusal(connection, head, Call.EXEC, label)
    return Record(json.loads(await connection.body(head)))


async def _events_path(connection: HttpConnection, kinds: tuple[str, ...]) -> str:
    # Engines answer before they listen (Podman up to 250 ms before): what happens in between would be lost. Their own
    # clock says from when on they are to tell, in whole seconds, so that up to a second of the past is told, too.
    head = await connection.request("GET", "/_ping")
    await connection.body(head)
    filters = quote(json.dumps({"type": list(kinds)}))
    now = head.fields.get("date")
    since = f"&since={int(parsedate_to_datetime(now).timestamp())}" if now else ""
    return f"/events?filters={filters}{since}"


async def _events(connection: HttpConnection) -> AsyncGenerator[EngineEvent]:
    try:
        async with aclosing(connection.lines()) as lines:
            async for line in lines:
                event = event_of(Record(json.loads(line))) if line.strip() else None
                if event is not None:
                    yield event
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        return
    except ValueError as error:
        log.warning("the engine's events cannot be read, so they end here: %s", one_line(str(error)))


def _exec_body(spec: ExecSpec) -> dict[str, object]:
    return {
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "Cmd": list(spec.argv),
        "User": spec.user,
        "WorkingDir": checked_path(spec.cwd) if spec.cwd else "",
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
    }
