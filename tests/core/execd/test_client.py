from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream
from support.fake_execd import FakeExecd, open_fake_execd
from support.memory_stream import MemoryStream, memory_streams

from ws_mcp.core.errors import InvalidArgumentError, PlaceUnavailableError
from ws_mcp.core.execd.client import ExecdClient, open_execd
from ws_mcp.core.execd.failures import ExecdUnavailableError
from ws_mcp.core.execd.protocol import Event, FrameDecoder, encode

START = {"process": "p_1", "chat": "c_1", "shell": "sleep 3600", "digest": "d"}
READ = {"process": "p_1", "chat": "c_1", "offset": 0}
HELLO = {"protocol": 1, "version": "1", "place": "w", "boot": "b", "pid": 1, "uid": 0, "platform": "p"}


@pytest.fixture
async def execd() -> AsyncGenerator[FakeExecd]:
    async with open_fake_execd() as execd:
        yield execd


class Counting(ByteStream):
    """A stream that counts what is sent through it."""

    def __init__(self, inner: ByteStream) -> None:
        self.inner = inner
        self.sends = 0

    async def send(self, item: bytes) -> None:
        self.sends += 1
        await self.inner.send(item)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self.inner.receive(max_bytes)

    async def send_eof(self) -> None:
        await self.inner.send_eof()

    async def aclose(self) -> None:
        await self.inner.aclose()


@asynccontextmanager
async def connected(execd: FakeExecd) -> AsyncGenerator[ExecdClient]:
    async with execd.connect() as stream, open_execd(stream, "00ff", on_event=None, client_name="t") as client:
        yield client


def waiting(timeout_s: float) -> dict[str, Any]:
    return READ | {"wait": {"until": "exit", "timeout_ms": int(timeout_s * 1000)}}


async def test_when_the_connection_breaks_every_open_call_fails_at_once(execd: FakeExecd) -> None:
    failures: list[ExecdUnavailableError] = []

    async def one(client: ExecdClient) -> None:
        with pytest.raises(ExecdUnavailableError) as failed:
            await client.call("read", waiting(1000), timeout_s=2000)
        failures.append(failed.value)

    async with connected(execd) as client:
        await client.call("start", START, timeout_s=5)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(one, client)
                while execd.asked.count("read") < 3:
                    await anyio.lowlevel.checkpoint()
                execd.cut()
            await client.closed.wait()
        assert client.is_closed
        assert [failure.was_sent for failure in failures] == [True] * 3
        with pytest.raises(PlaceUnavailableError, match="connection ended") as later:
            await client.call("ping", {}, timeout_s=5)
        assert isinstance(later.value, ExecdUnavailableError)
        assert later.value.was_sent is False


async def test_leaving_the_block_fails_open_calls(execd: FakeExecd) -> None:
    async with anyio.create_task_group() as tasks:

        async def one(client: ExecdClient) -> None:
            with pytest.raises(ExecdUnavailableError, match="this side closed"):
                await client.call("read", waiting(1000), timeout_s=2000)

        async with connected(execd) as client:
            await client.call("start", START, timeout_s=5)
            tasks.start_soon(one, client)
            while "read" not in execd.asked:
                await anyio.lowlevel.checkpoint()


async def test_a_late_answer_is_an_error_of_its_caller_only(execd: FakeExecd) -> None:
    async with connected(execd) as client:
        execd.hang("stats")
        with pytest.raises(ExecdUnavailableError, match=r"no answer within 0\.01 s") as late:
            await client.call("stats", {}, timeout_s=0.01)
        assert late.value.was_sent is True
        await client.call("ping", {}, timeout_s=5)


async def test_a_caller_that_gives_up_ends_its_wait_in_execd(execd: FakeExecd) -> None:
    async with connected(execd) as client:
        await client.call("start", START, timeout_s=5)
        with anyio.move_on_after(0.01) as scope:
            await client.call("read", waiting(1000), timeout_s=2000)
        assert scope.cancelled_caught
        await client.call("ping", {}, timeout_s=5)
        with pytest.raises(ExecdUnavailableError):
            await client.call("read", waiting(1000), timeout_s=0.01)
        await client.call("ping", {}, timeout_s=5)
        assert execd.asked.count("cancel") == 2


async def test_requests_that_cannot_be_sent_are_refused_and_harm_nothing(execd: FakeExecd) -> None:
    async with connected(execd) as client:
        with pytest.raises(InvalidArgumentError, match="surrogate"):
            await client.call("start", START | {"shell": "\ud800"}, timeout_s=5)
        with pytest.raises(InvalidArgumentError, match="too large"):
            await client.call("write", READ, bytes(5 << 20), timeout_s=5)
        await client.call("ping", {}, timeout_s=5)


@pytest.mark.usefixtures("virtual_time")
async def test_a_quiet_connection_is_kept_alive_for_hours(execd: FakeExecd) -> None:
    async with connected(execd) as client:
        await anyio.sleep(7200)
        await client.call("ping", {}, timeout_s=5)
        assert execd.asked.count("ping") >= 360


@pytest.mark.usefixtures("virtual_time")
async def test_a_connection_whose_pings_go_unanswered_is_given_up(execd: FakeExecd) -> None:
    async with connected(execd) as client:
        execd.hang("ping")
        began = anyio.current_time()
        await client.closed.wait()
        assert anyio.current_time() - began == pytest.approx(30, abs=1)


@pytest.mark.usefixtures("virtual_time")
async def test_an_execd_that_says_nothing_is_given_up() -> None:
    ours, theirs = memory_streams()
    with pytest.raises(ExecdUnavailableError, match="no answer"):
        async with ours, theirs, open_execd(ours, "00ff", on_event=None, client_name="t"):
            pass


@pytest.mark.usefixtures("virtual_time")
async def test_a_peer_that_takes_nothing_is_given_up_and_nobody_hangs() -> None:
    async with scripted(room=0) as (client, _peer):
        async with anyio.create_task_group() as tasks:

            async def one() -> None:
                with pytest.raises(ExecdUnavailableError, match=r"took nothing|no answer"):
                    await client.call("ping", {}, timeout_s=5)

            tasks.start_soon(one)
            tasks.start_soon(one)
        assert client.is_closed
        with pytest.raises(ExecdUnavailableError, match="took nothing"):
            await client.call("ping", {}, timeout_s=5)


async def test_requests_of_one_moment_leave_in_few_writes(execd: FakeExecd) -> None:
    async with execd.connect() as inner:
        stream = Counting(inner)
        async with open_execd(stream, "00ff", on_event=None, client_name="t") as client:
            before = stream.sends
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(partial(client.call, "ping", {}, timeout_s=5))
            assert execd.asked.count("ping") == 20
            assert stream.sends - before <= 2


async def test_a_stream_that_breaks_while_sending_fails_every_open_call() -> None:
    async with scripted() as (client, peer), anyio.create_task_group() as tasks:

        async def one() -> None:
            with pytest.raises(ExecdUnavailableError, match=r"its connection broke \(BrokenResourceError\)") as failed:
                await client.call("ping", {}, timeout_s=5)
            assert failed.value.was_sent is True

        tasks.start_soon(one)
        await peer.receive()
        peer._inbox.close()  # it reads no more, but its own end stays open
        tasks.start_soon(one)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x00\x00\x00\x06\x00\x00\x00\x02[]",
        encode({"id": "1"}),
        encode({"id": 2, "error": "no"}),
        encode({"id": 2, "error": {"code": 5}}),
        encode({"event": 5}),
    ],
)
async def test_nonsense_ends_the_connection_as_unavailable(nonsense: bytes) -> None:
    async with scripted() as (client, peer), anyio.create_task_group() as tasks:

        async def one() -> None:
            with pytest.raises(ExecdUnavailableError, match="what the protocol forbids"):
                await client.call("ping", {}, timeout_s=5)

        tasks.start_soon(one)
        await peer.receive()
        await peer.send(nonsense)


async def test_answers_without_a_question_and_unknown_events_are_ignored() -> None:
    seen: list[Event] = []
    async with scripted(seen=seen) as (client, peer), anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: client.call("ping", {}, timeout_s=5))
        await peer.receive()
        await peer.send(encode({"id": 77}) + encode({}) + encode({"event": "later", "x": 1}) + encode({"id": 2}))
    assert [event.kind for event in seen] == ["later"]


async def test_a_hello_without_sense_is_refused() -> None:
    ours, theirs = memory_streams()
    await theirs.send(encode({"id": 1, "place": 5}))
    with pytest.raises(ExecdUnavailableError, match="what the protocol forbids"):
        async with ours, theirs, open_execd(ours, "00ff", on_event=None, client_name="t"):
            pass


async def test_stats_without_sense_and_inner_failures_are_unavailable() -> None:
    async with scripted() as (client, peer):
        with pytest.raises(ExecdUnavailableError):
            await answered(client, peer, encode({"id": 2, "running": "many"}))
        failure = {"code": "internal", "text": "a\nb"}
        with pytest.raises(ExecdUnavailableError, match=r"failed inside \(internal: a b\)"):
            await answered(client, peer, encode({"id": 3, "error": failure}))


async def answered(client: ExecdClient, peer: MemoryStream, answer: bytes) -> None:
    failures: list[ExecdUnavailableError] = []

    async def one() -> None:
        try:
            await client.stats()
        except ExecdUnavailableError as error:
            failures.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one)
        await peer.receive()
        await peer.send(answer)
    raise failures[0]


@asynccontextmanager
async def scripted(
    room: float = 100, seen: list[Event] | None = None
) -> AsyncGenerator[tuple[ExecdClient, MemoryStream]]:
    """A client after its hello, and the other end of its stream."""
    ours, theirs = memory_streams(room)
    on_event = seen.append if seen is not None else None

    async def greet() -> None:
        decoder = FrameDecoder()
        frames = list(decoder.feed(await theirs.receive()))
        await theirs.send(encode({"id": frames[0].header["id"]} | HELLO))

    async with ours, theirs, anyio.create_task_group() as tasks:
        tasks.start_soon(greet)
        async with open_execd(ours, "00ff", on_event=on_event, client_name="t") as client:
            yield client, theirs
