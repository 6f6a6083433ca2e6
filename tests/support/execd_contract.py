"""What the contract suite of execd stands on: a place of each kind, a client of it, short ways to ask."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from support.fake_disk import FakeDisk
from support.fake_execd import open_fake_execd
from support.fake_place import FakeLimits
from support.fake_ports import FakePorts
from support.real_disk import RealDisk
from support.real_execd import connect, open_real_execd
from support.real_ports import RealPorts
from ws_mcp.core.execd.client import ExecdClient, open_execd
from ws_mcp.core.execd.protocol import Event, FrameDecoder, encode

PLACE = "w_place"
SECRET = "0123456789abcdef"
CHAT = "c_1"
LONG = "sleep 60"


@dataclass
class Watch:
    """The events of a connection, and waiting for one."""

    seen: list[Event] = field(default_factory=list[Event])
    changed: anyio.Event = field(default_factory=anyio.Event)

    def on_event(self, event: Event) -> None:
        self.seen.append(event)
        changed, self.changed = self.changed, anyio.Event()
        changed.set()

    async def until(self, is_it: Callable[[Event], bool]) -> Event:
        with anyio.fail_after(30):
            while True:
                for event in self.seen:
                    if is_it(event):
                        return event
                await self.changed.wait()


@dataclass
class Place:
    """An execd that runs, ways to it, and the files and ports that it can reach."""

    dial: Callable[[], Awaitable[ByteStream]]
    disk: FakeDisk | RealDisk
    ports: FakePorts | RealPorts

    @asynccontextmanager
    async def client(self, watch: Watch | None = None, secret: str = SECRET) -> AsyncGenerator[ExecdClient]:
        async with await self.dial() as stream:
            on_event = watch.on_event if watch else None
            async with open_execd(stream, secret, on_event=on_event, client_name="test") as client:
                yield client


async def start(client: ExecdClient, command: str | list[str], process: str = "p_1", **fields: Any) -> dict[str, Any]:
    how = {"shell": command} if isinstance(command, str) else {"argv": command}
    request = {"process": process, "chat": CHAT, "digest": f"d {command}"} | how | fields
    reply = await client.call("start", request, timeout_s=30)
    return dict(reply.header)


async def ask(client: ExecdClient, op: str, process: str = "p_1", body: bytes = b"", **fields: Any) -> dict[str, Any]:
    reply = await client.call(op, {"process": process, "chat": CHAT} | fields, body, timeout_s=30)
    return dict(reply.header) | {"body": reply.body}


async def wait(client: ExecdClient, until: str, process: str = "p_1", offset: int = 0, **fields: Any) -> dict[str, Any]:
    said = {"until": until, "timeout_ms": 4000} | fields
    return await ask(client, "read", process, offset=offset, wait=said)


async def run(client: ExecdClient, command: str | list[str], process: str = "p_1", **fields: Any) -> dict[str, Any]:
    """Start and wait for the end; the reply of the read."""
    await start(client, command, process, **fields)
    return await wait(client, "exit", process)


class ExecdContract:
    """The suite; `open_place` says on which execd it runs."""

    def open_place(self, **limits: Any) -> AbstractAsyncContextManager[Place]:
        raise NotImplementedError

    @pytest.fixture
    async def place(self) -> AsyncGenerator[Place]:
        async with self.open_place() as place:
            yield place

    @pytest.fixture
    async def client(self, place: Place) -> AsyncGenerator[ExecdClient]:
        async with place.client() as client:
            yield client


class OnFakeExecd:
    @asynccontextmanager
    async def open_place(self, **limits: Any) -> AsyncGenerator[Place]:
        async with open_fake_execd(PLACE, SECRET, FakeLimits(**limits)) as fake:

            async def dial() -> ByteStream:
                return fake.connect()

            yield Place(dial, fake.disk, fake.ports)


@pytest.mark.usefixtures("real_io")
class OnRealExecd:
    @asynccontextmanager
    async def open_place(self, **limits: Any) -> AsyncGenerator[Place]:
        async with open_real_execd(PLACE, SECRET, FakeLimits(**limits)) as directory:
            yield Place(lambda: connect(directory), RealDisk(directory.parent), RealPorts())


class Link:
    """A connection without a client."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._decoder = FrameDecoder()
        self._heard: list[dict[str, Any]] = []

    async def say(self, **header: Any) -> None:
        await self._stream.send(encode(header))

    async def hear(self) -> dict[str, Any]:
        with anyio.fail_after(30):
            while not self._heard:
                self._heard += [dict(frame.header) for frame in self._decoder.feed(await self._stream.receive())]
        return self._heard.pop(0)


async def raw(place: Place, header: dict[str, Any]) -> dict[str, Any]:
    """The answer to one frame, after which the connection is closed by execd."""
    async with await place.dial() as stream:
        link = Link(stream)
        await link.say(**header)
        said = await link.hear()
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await link.hear()
        return said


async def write_line(client: ExecdClient) -> None:
    await ask(client, "write", body=b"go\n")


def names(header: Any) -> list[str]:
    return [process["process"] for process in header["processes"]]
