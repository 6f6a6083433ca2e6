"""T30: connections that are slow, or that only wait, take nothing from a client that is not."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import quantiles
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import pytest
from support.edge_client import MODES, ok
from support.http_ground import ask, http_client, record_for, token_for, write_tokens
from support.serving_child import ServingChild, open_child_http
from uvicorn import Config
from uvicorn.server import ServerState

from ws_mcp.edge.http_protocol import (
    BODY_S,
    HEADERS_S,
    MAX_CONNECTIONS,
    MAX_UNREAD_BYTES,
    WRITE_S,
    BoundedProtocol,
)
from ws_mcp.edge.messages import MAX_BYTES

SLOW = 300
CALLS = 200
MOST_S = 0.5
HEAD = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\n"
BODY_HEAD = HEAD + b"Content-Length: 1000000\r\nContent-Type: application/json\r\n"
TOKEN = f"Authorization: Bearer {token_for('mallory')}\r\n".encode()


@pytest.fixture
def server(tmp_path: Path) -> Generator[ServingChild]:
    with open_child_http(
        f"tokens={write_tokens(tmp_path / 'tokens', record_for('alice'), record_for('mallory'))}"
    ) as child:
        yield child


@contextmanager
def slow_ones(url: str, said: bytes) -> Generator[list[socket.socket]]:
    """Connections that have said a part of a request."""
    place = urlsplit(url)
    with ExitStack() as stack:
        opened = list[socket.socket]()
        for _ in range(SLOW):
            opened.append(stack.enter_context(socket.create_connection((place.hostname or "", place.port or 0), 10)))
            opened[-1].sendall(said)
        yield opened


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "said",
    [b"", HEAD, BODY_HEAD + b"\r\n{", BODY_HEAD + TOKEN + b"\r\n{"],
    ids=["nothing", "a header", "a body", "a body with a token"],
)
async def test_slow_connections_do_not_slow_a_client_down(
    said: bytes, mode: str, server: ServingChild, real_io: None
) -> None:
    took = list[float]()
    with anyio.fail_after(90), slow_ones(server.url, said) as slow:
        async with http_client(server.url, token_for("alice"), mode) as client:
            chat = (await ok(client, "provision_workspace"))["chat"]
            for number in range(CALLS):
                began = time.perf_counter()
                await ok(client, "list_processes", chat=chat)
                took.append(time.perf_counter() - began)
                dribble(slow[number % SLOW], said)
    assert quantiles(took, n=100)[-1] < MOST_S


def dribble(connection: socket.socket, said: bytes) -> None:
    """One more line of a header, or character of a body, that never ends."""
    try:
        connection.sendall(b"X-A: b\r\n" if said.endswith(b"\r\n") else b"1"[: len(said)])
    except OSError:
        return  # it was cut


@pytest.mark.parametrize("mode", MODES)
async def test_whoever_comes_new_is_served_while_one_holds_all_connections_with_bodies(
    mode: str, server: ServingChild, real_io: None
) -> None:
    took = list[float]()
    with anyio.fail_after(90), slow_ones(server.url, BODY_HEAD + TOKEN + b"\r\n{") as slow:
        for number in range(20):
            began = time.perf_counter()
            async with http_client(server.url, token_for("alice"), mode) as client:
                await ok(client, "provision_workspace")
            took.append(time.perf_counter() - began)
            dribble(slow[-1 - number], b"{")
    assert max(took) < 2
    assert "Traceback" not in server.ended()


def test_bodies_that_never_end_take_bounded_memory(server: ServingChild) -> None:
    before = resident(server.pid)
    head = HEAD + f"Content-Length: {MAX_BYTES}\r\nContent-Type: application/json\r\n".encode() + TOKEN + b"\r\n"
    with slow_ones(server.url, head) as slow:
        for connection in slow[-60:]:
            with suppress(OSError):
                connection.sendall(b" " * (MAX_BYTES - 1))
        assert ask(server.url, token=token_for("alice")).status == 200
        assert resident(server.pid) - before < 2 * MAX_UNREAD_BYTES


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) * 1024


def test_a_connection_that_does_not_finish_its_headers_is_cut(server: ServingChild) -> None:
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname or "", place.port or 0), HEADERS_S + 20) as connection:
        began = time.monotonic()
        connection.sendall(HEAD)
        with suppress(ConnectionResetError):
            assert connection.recv(100) == b""
        assert time.monotonic() - began > HEADERS_S / 2
    assert ask(server.url, token=token_for("alice")).status == 200


class Loop:
    """A clock that moves when it is told, and what waits on it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, act: Any) -> Timer:
        self.waiting.append(Timer(self.now + delay, act))
        return self.waiting[-1]

    def create_task(self, work: Any) -> Any:
        work.close()
        return Done()

    def pass_s(self, seconds: float) -> None:
        self.now += seconds
        for timer in [one for one in self.waiting if one.at <= self.now]:
            self.waiting.remove(timer)
            if not timer.is_cancelled:
                timer.act()


class Timer:
    def __init__(self, at: float, act: Any) -> None:
        self.at, self.act, self.is_cancelled = at, act, False

    def cancel(self) -> None:
        self.is_cancelled = True


class Done:
    def add_done_callback(self, _act: Any) -> None: ...


class Wire:
    """A transport that remembers whether it was cut."""

    def __init__(self) -> None:
        self.is_cut = False

    def abort(self) -> None:
        self.is_cut = True

    close = abort

    def is_closing(self) -> bool:
        return self.is_cut

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: bytes) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


async def nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    """An application that is never run."""


class Connections:
    """What all connections of a server share."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.config = Config(app=nothing, interface="asgi3", log_config=None)
        self.config.load()
        self.state = ServerState()

    def opened(self) -> tuple[BoundedProtocol, Wire]:
        connection = BoundedProtocol(self.config, self.state, {}, cast("Any", self.loop))
        wire = Wire()
        connection.connection_made(cast("Any", wire))
        return connection, wire


WHOLE = HEAD + b"Content-Length: 2\r\n\r\n{}"


def finish(connection: BoundedProtocol) -> None:
    """As when the answer to its request was sent."""
    cast("Any", connection.cycle).response_complete = True
    connection.on_response_complete()


@pytest.mark.parametrize(
    ("said", "cut_after_s"),
    [(b"", HEADERS_S), (HEAD, HEADERS_S), (WHOLE[:-1], BODY_S), (WHOLE, None)],
)
async def test_each_part_of_a_request_has_its_time(said: bytes, cut_after_s: float | None, real_io: None) -> None:
    connections = Connections()
    connection, wire = connections.opened()
    if said:
        connection.data_received(said)
    if cut_after_s is None:
        connections.loop.pass_s(1000)
        assert not wire.is_cut
        return
    connections.loop.pass_s(cut_after_s - 1)
    assert not wire.is_cut
    connections.loop.pass_s(1)
    assert wire.is_cut


async def test_dribbling_gives_no_more_time(real_io: None) -> None:
    connections = Connections()
    connection, wire = connections.opened()
    connection.data_received(HEAD)
    for _ in range(HEADERS_S):
        connections.loop.pass_s(1)
        if not wire.is_cut:
            connection.data_received(b"X-A: b\r\n")
    assert wire.is_cut


async def test_a_client_that_does_not_read_is_cut_and_one_that_goes_on_is_not(real_io: None) -> None:
    connections = Connections()
    connection, wire = connections.opened()
    connection.data_received(WHOLE)
    connection.pause_writing()
    connections.loop.pass_s(WRITE_S - 1)
    connection.resume_writing()
    connections.loop.pass_s(WRITE_S)
    assert not wire.is_cut
    connection.pause_writing()
    connections.loop.pass_s(WRITE_S)
    assert wire.is_cut


async def test_the_oldest_that_only_waits_makes_room_and_no_one_who_is_served(real_io: None) -> None:
    connections = Connections()
    served, served_wire = connections.opened()
    served.data_received(WHOLE)
    waiting = list[Wire]()
    for _ in range(MAX_CONNECTIONS):
        connections.loop.now += 0.001
        waiting.append(connections.opened()[1])
    assert [wire.is_cut for wire in waiting] == [True] + [False] * (MAX_CONNECTIONS - 1)
    assert not served_wire.is_cut


async def test_slow_bodies_make_room_before_those_that_were_served_and_quick_ones_after(real_io: None) -> None:
    connections = Connections()
    slow = [connections.opened() for _ in range(2)]
    for connection, _ in slow:
        connections.loop.now += 0.001
        connection.data_received(WHOLE[:-1])
    connections.loop.now += 2
    idle, idle_wire = connections.opened()
    idle.data_received(WHOLE)
    finish(idle)
    quick = [connections.opened() for _ in range(MAX_CONNECTIONS - 3)]
    for connection, _ in quick:
        connections.loop.now += 0.001
        connection.data_received(WHOLE[:-1])
    cut = list[list[bool]]()
    for _ in range(5):
        newest, _ = connections.opened()
        newest.data_received(WHOLE)
        wires = (*(wire for _, wire in slow), idle_wire, *(wire for _, wire in quick[:2]))
        cut.append([wire.is_cut for wire in wires])
    assert cut == [[place <= done for place in range(5)] for done in range(5)]
    assert not any(wire.is_cut for _, wire in quick[2:])


async def test_when_all_are_served_the_next_one_is_refused(real_io: None) -> None:
    connections = Connections()
    for _ in range(MAX_CONNECTIONS):
        connections.opened()[0].data_received(WHOLE)
    assert connections.opened()[1].is_cut
    assert len(connections.state.connections) == MAX_CONNECTIONS
