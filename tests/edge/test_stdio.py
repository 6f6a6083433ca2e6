"""The stdio transport over pipes: lines in, lines out, whatever their size, and an end that can be asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from support.edge_client import PROJECT
from support.fake_core import FakeCore

from ws_mcp.edge.messages import EDGE_BYTES, MAX_BYTES, parsed
from ws_mcp.edge.serve import Stop, serve_descriptors
from ws_mcp.edge.stdio import Line, open_stdio
from ws_mcp.server import build_server

PING = b'{"jsonrpc":"2.0","id":9,"method":"ping"}\n'
HELLO = (
    b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
    b'"clientInfo":{"name":"t","version":"0"}}}\n'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipes:
    """Both pipes of a server: `to` and `back` are the client's ends."""

    reading: int
    to: int
    back: int
    writing: int


@contextmanager
def pipes() -> Generator[Pipes]:
    reading, to = os.pipe()
    back, writing = os.pipe()
    made = Pipes(reading=reading, to=to, back=back, writing=writing)
    try:
        yield made
    finally:
        for fd in (reading, to, back, writing):
            with_closed(fd)


def with_closed(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        return  # the test closed it


async def answer(fd: int) -> dict[str, Any]:
    """The next line from a descriptor."""
    with os.fdopen(os.dup(fd), "rb", buffering=0) as back:
        return json.loads(await anyio.to_thread.run_sync(back.readline))


def request(line: bytes) -> JSONRPCRequest:
    found = parsed(line, is_whole=True)
    assert isinstance(found, SessionMessage)
    assert isinstance(found.message, JSONRPCRequest)
    return found.message


def refusal(line: bytes, *, is_whole: bool = True) -> tuple[int, int | str | None]:
    found = parsed(line, is_whole=is_whole)
    assert isinstance(found, JSONRPCError)
    return found.error.code, found.id


def test_a_line_is_kept_whole_up_to_its_limit_and_then_at_both_ends() -> None:
    line = Line()
    line.add(b"a" * (MAX_BYTES - 1))
    line.add(b"b")
    assert line.take() == (b"a" * (MAX_BYTES - 1) + b"b", True)
    line.add(b"a" * MAX_BYTES)
    for _ in range(10):
        line.add(b"b" * 1000)
    line.add(b"c")
    assert line.take() == (b"a" * EDGE_BYTES + b"b" * (EDGE_BYTES - 1) + b"c", False)
    line.add(b"next")
    assert line.take() == (b"next", True)


def test_messages_are_parsed() -> None:
    assert request(PING).id == 9
    assert request(b'{"jsonrpc":"2.0","id":"x","method":"ping","params":{"id":1}}').id == "x"
    note = parsed(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"id":5}}', is_whole=True)
    assert isinstance(note, SessionMessage)
    assert isinstance(note.message, JSONRPCNotification)


@pytest.mark.parametrize(
    ("line", "code", "number"),
    [
        (b"garbage", -32700, None),
        (b'{"jsonrpc":"2.0","id":7,"method":"ping"', -32700, 7),
        (b"[]", -32600, None),
        (b'{"jsonrpc":"2.0","id":3,"result":5}', -32600, None),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","method":"ping","id":null}', -32600, None),
    ],
)
def test_a_line_that_is_no_message_is_refused_as_json_rpc_says(line: bytes, code: int, number: int | None) -> None:
    assert refusal(line) == (code, number)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b'{"jsonrpc":"2.0","id":5,"method":"x","params":{"a":"aaa', 5),
        (b'{ "id" : -5 , "method":"x","params":{"a":"aaa', -5),
        (b'{"jsonrpc": "2.0", "method": "tools/call", "id": "a-1", "params":{"a":"aaa', "a-1"),
        (b'{"method":"x","params":{"id":4},"jsonrpc":"2.0","id":7}', 7),
        (b'{"method":"x","params":{"id":4}}', None),
        (b'{"method":"x","params":{"id":4', None),
        (b'{"jsonrpc":"2.0","id":5.5,"method":"x"', None),
        (b'{"jsonrpc":"2.0","id":5,"result":{"a":"aaa', None),
        (b'{"jsonrpc":"2.0","id":"\\u0041","method":"x"', None),
    ],
)
def test_the_id_of_a_line_that_is_too_long_is_told_where_it_is_sure(line: bytes, number: int | str | None) -> None:
    assert refusal(line, is_whole=False) == (-32600, number)


async def test_messages_and_answers_go_through_pipes(real_io_both: None) -> None:
    with pipes() as ends, anyio.fail_after(30):
        async with open_stdio(ends.reading, ends.writing) as (messages, answers):
            os.write(ends.to, PING[:20])
            os.write(ends.to, PING[20:] + b"\nno json\n" + PING)
            for _ in range(2):
                found = await messages.receive()
                assert isinstance(found, SessionMessage)
                assert found.message == request(PING)
            assert (await answer(ends.back))["error"]["code"] == -32700
            big = {"text": "x" * 200_000}
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(answers.send, SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=9, result=big)))
                assert (await answer(ends.back))["result"] == big


async def test_answers_of_one_moment_arrive_whole_and_once(real_io_both: None) -> None:
    results = [{"number": number, "text": "x" * 500} for number in range(20)]
    with pipes() as ends, anyio.fail_after(30):
        async with open_stdio(ends.reading, ends.writing) as (_, answers):
            async with anyio.create_task_group() as tasks:
                for result in results:
                    one = JSONRPCResponse(jsonrpc="2.0", id=result["number"], result=result)
                    tasks.start_soon(answers.send, SessionMessage(one))
            found = b""
            while found.count(b"\n") < len(results):
                found += await anyio.to_thread.run_sync(os.read, ends.back, 1 << 20)
    assert sorted(json.loads(line)["id"] for line in found.splitlines()) == list(range(20))
    assert all(json.loads(line)["result"] in results for line in found.splitlines())


async def test_who_stops_waiting_for_a_client_that_does_not_read_cuts_no_line(real_io_both: None) -> None:
    text = "x" * 50_000
    with pipes() as ends, anyio.fail_after(30):
        async with open_stdio(ends.reading, ends.writing) as (_, answers):
            sent: list[int] = []

            async def send(number: int) -> None:
                one = JSONRPCResponse(jsonrpc="2.0", id=number, result={"text": text})
                await answers.send(SessionMessage(one))
                sent.append(number)

            async with anyio.create_task_group() as tasks:
                for number in range(10):
                    tasks.start_soon(send, number)
                await anyio.wait_all_tasks_blocked()
                assert 0 < len(sent) < 10  # a pipe and what waits behind it have an end
                tasks.cancel_scope.cancel()
            taken = sorted(sent)
            found = [await answer(ends.back) for _ in taken]
            assert sorted(each["id"] for each in found) == taken
            assert all(each["result"] == {"text": text} for each in found)
            await send(11)
            assert (await answer(ends.back))["id"] == 11


async def test_the_end_of_stdin_ends_the_messages(real_io_both: None) -> None:
    with pipes() as ends, anyio.fail_after(30):
        async with open_stdio(ends.reading, ends.writing) as (messages, _):
            os.write(ends.to, PING + b"half a line")
            os.close(ends.to)
            assert [found async for found in messages] == [parsed(PING, is_whole=True)]


async def test_serving_ends_when_asked_though_nothing_was_said(real_io_both: None) -> None:
    stop = Stop()
    with pipes() as ends, anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            server = build_server(FakeCore(), default_hint=PROJECT)
            tasks.start_soon(serve_descriptors, server, stop, ends.reading, ends.writing)
            os.write(ends.to, HELLO)
            assert (await answer(ends.back))["id"] == 1
            stop.ask()
    assert (stop.is_asked, stop.code) == (True, 0)


@pytest.mark.parametrize("end", ["to", "back"])
async def test_serving_ends_when_the_client_goes_away(end: str, real_io_both: None) -> None:
    stop = Stop()
    with pipes() as ends, anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            server = build_server(FakeCore(), default_hint=PROJECT)
            tasks.start_soon(serve_descriptors, server, stop, ends.reading, ends.writing)
            os.write(ends.to, HELLO)
            assert (await answer(ends.back))["id"] == 1
            os.close(getattr(ends, end))
            if end == "back":
                os.write(ends.to, PING)
    assert stop.is_asked


async def test_a_file_can_be_read_from(real_io_both: None) -> None:
    reading = os.open(os.devnull, os.O_RDONLY)
    try:
        with pipes() as ends, anyio.fail_after(30):
            async with open_stdio(reading, ends.writing) as (messages, _):
                assert [found async for found in messages] == []
    finally:
        os.close(reading)
