"""Serving as a program: clean ends, garbage answered, memory bounded, and nothing but the protocol on stdout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, cast

import anyio
import pytest
from mcp import Client, StdioServerParameters
from support.edge_client import MODES, ok
from support.forked import forked_argv
from support.http_ground import http_client, record_for, token_for, write_tokens
from support.memory import forget_peak, memory_of

from ws_mcp.edge.messages import MAX_BYTES

PROGRAM = str(Path(__file__).parents[1] / "support" / "serve_fake.py")
END_S = 40  # of a start and an end on a busy machine; what hangs never ends
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}},
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
MIB = 1024 * 1024
PROMISED_S = 5.0  # from the end of stdin to the exit


class Child:
    """A server as a child process, spoken to line by line; who it is stands in `pid_file`."""

    def __init__(self, process: subprocess.Popen[bytes], pid_file: Path) -> None:
        self.process = process
        self.pid_file = pid_file
        self.stdin = cast("IO[bytes]", process.stdin)
        self.stdout = cast("IO[bytes]", process.stdout)
        self.stderr = cast("IO[bytes]", process.stderr)

    @property
    def pid(self) -> int:
        """Of the server: `process` only stands for it."""
        return int(self.pid_file.read_text())

    def send(self, *lines: bytes | dict[str, Any]) -> None:
        for line in lines:
            self.stdin.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
        self.stdin.flush()

    def answer(self) -> dict[str, Any]:
        return json.loads(self.stdout.readline())

    def hello(self) -> None:
        self.send(HELLO)
        assert self.answer()["result"]["serverInfo"]["name"] == "ws"
        self.send(INITIALIZED)

    def call(self, number: int, tool: str, **arguments: Any) -> None:
        self.send(
            {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        )


@contextmanager
def child(*arguments: str, stdin: int | IO[bytes] = subprocess.PIPE) -> Generator[Child]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CLAUDE", "GROK"))}
    with NamedTemporaryFile() as pid_file:
        process = subprocess.Popen(
            forked_argv(Path(pid_file.name), "--program", PROGRAM, *arguments),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        try:
            yield Child(process, Path(pid_file.name))
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


@pytest.fixture(scope="module")
def served() -> Generator[Child]:
    """A server for all that it goes on after."""
    with child("stdio") as server:
        server.hello()
        yield server


def end(server: Child, how: str) -> int:
    if how == "EOF":
        server.stdin.close()
    else:
        server.process.send_signal(signal.Signals[how])
    return server.process.wait(END_S)


CODES = {"EOF": 0, "SIGTERM": 143, "SIGINT": 130}


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("how", CODES)
def test_a_stdio_server_closes_all_and_ends(how: str, loop: str) -> None:
    with child("stdio", loop) as server:
        server.hello()
        assert end(server, how) == CODES[how]
        assert server.stderr.read().decode().split("\n")[-3:] == ["serving ended", "core closed", ""]
        assert server.stdout.read() == b""


@pytest.mark.parametrize("how", CODES)
def test_a_call_in_flight_does_not_hold_up_the_end(how: str) -> None:
    with child("stdio") as server:
        server.hello()
        server.call(2, "provision_workspace")
        assert "result" in server.answer()
        server.call(3, "start_process", command="hang", wait_s=45)
        server.call(4, "list_processes")
        assert server.answer()["id"] == 4
        assert end(server, how) == CODES[how]


@pytest.mark.parametrize("closing", ["slow", "stuck"])
def test_the_second_signal_ends_it_at_once(closing: str) -> None:
    with child("stdio", closing) as server:
        server.hello()
        server.process.send_signal(signal.SIGTERM)
        assert server.stderr.readline() == b"serving ended\n"
        assert end(server, "SIGINT") == 130
        assert server.stderr.read() == b""


def test_an_event_loop_that_is_held_up_does_not_hold_up_the_end() -> None:
    with child("stdio", "stuck") as server:
        server.hello()
        began = time.monotonic()
        assert end(server, "EOF") == 0
        assert time.monotonic() - began <= PROMISED_S


def test_a_client_that_goes_away_without_a_word_ends_it() -> None:
    with child("stdio") as server:
        server.hello()
        server.stdout.close()
        server.call(2, "list_processes")
        assert server.process.wait(END_S) == 0


@pytest.mark.parametrize("source", [os.devnull, "file"])
def test_stdin_may_be_a_file(source: str, tmp_path: Path) -> None:
    path = Path(source) if source == os.devnull else tmp_path / "messages"
    if source == "file":
        path.write_bytes(json.dumps(HELLO).encode() + b"\n")
    with path.open("rb") as messages, child("stdio", stdin=messages) as server:
        assert server.process.wait(END_S) == 0


def test_what_is_printed_by_mistake_does_not_reach_the_client() -> None:
    with child("stdio") as server:
        server.hello()
        server.call(2, "provision_workspace")
        server.answer()
        server.call(3, "start_process", command="print")
        assert server.answer()["result"]["structuredContent"]["state"] == "ended"
        assert end(server, "EOF") == 0
        assert b"a stray line" in server.stderr.read()


GARBAGE = [
    (b"garbage\n", -32700, None),
    (b"\xff\xfe\n", -32700, None),
    (b'{"jsonrpc":"2.0","id":7,"method":"ping"\n', -32700, 7),
    (b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"\\ud800"}}\n', -32700, 7),
    (
        b'{"method":"ping","params":' + b"[" * 100_000 + b"]" * 100_000 + b',"jsonrpc":"2.0","id":"x-1"}\n',
        -32600,
        "x-1",
    ),
    (b"[]\n", -32600, None),
    (b"5\n", -32600, None),
    (b"null\n", -32600, None),
    (b'{"jsonrpc":"2.0"}\n', -32600, None),
    (b'{"jsonrpc":"1.0","id":8,"method":"ping"}\n', -32600, None),
    (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]\n', -32600, None),
    (b'{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}\n', -32600, None),
    (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}\n', -32600, None),
    (b'{"jsonrpc":"2.0","id":3,"result":5}\n', -32600, None),
]


def test_lines_that_are_no_messages_are_answered_and_the_next_ones_served(served: Child) -> None:
    for line, code, number in GARBAGE:
        served.send(b"\n", b"  \r\n", line, {"jsonrpc": "2.0", "id": 9, "method": "ping"})
        refusal = served.answer()
        assert (refusal["error"]["code"], refusal["id"]) == (code, number), line[:80]
        assert served.answer() == {"jsonrpc": "2.0", "id": 9, "result": {}}


@pytest.mark.parametrize("first", [True, False])
def test_a_line_without_end_takes_no_memory_and_is_answered(served: Child, first: bool) -> None:
    envelope = (b'{"jsonrpc":"2.0","id":5,"method":"ping","params":{"a":"', b'"}}\n')
    if not first:
        envelope = (b'{"method":"ping","params":{"a":"', b'"},"jsonrpc":"2.0","id":5}\n')
    forget_peak(served.pid)
    before = memory_of(served.pid, "VmRSS")
    served.send(envelope[0])
    for _ in range(100):
        served.send(b"x" * MIB)
    served.send(envelope[1], {"jsonrpc": "2.0", "id": 6, "method": "ping"})
    refusal = served.answer()
    assert (refusal["id"], refusal["error"]["code"]) == (5, -32600)
    assert str(MAX_BYTES) in refusal["error"]["message"]
    assert served.answer()["id"] == 6
    assert memory_of(served.pid, "VmHWM") - before < 32 * MIB


def test_a_message_of_almost_four_mebibytes_is_served(served: Child) -> None:
    served.call(2, "start_process", command="x", env={"A": "x" * (MAX_BYTES - 500)})
    result = served.answer()["result"]
    assert (result["isError"], "`env` is too large" in result["content"][0]["text"]) == (True, True)


def test_a_hundred_calls_sent_at_once_are_all_answered(served: Child) -> None:
    served.send(*({"jsonrpc": "2.0", "id": n, "method": "ping"} for n in range(10, 110)))
    assert {served.answer()["id"] for _ in range(100)} == set(range(10, 110))


@pytest.mark.parametrize("mode", MODES)
async def test_a_real_client_is_served_over_stdio(mode: str, real_io: None) -> None:
    with anyio.fail_after(75):
        async with Client(StdioServerParameters(command=sys.executable, args=[PROGRAM, "stdio"]), mode=mode) as client:
            await ok(client, "provision_workspace")
            started = await ok(client, "start_process", command="x" * 20_000)
            assert (started["state"], len(started["output"])) == ("ended", 16_000)


@contextmanager
def http_server(directory: Path) -> Generator[tuple[Child, str]]:
    tokens = write_tokens(directory / "tokens", record_for("alice"))
    with child("http", f"tokens={tokens}") as server:
        yield server, server.stderr.readline().decode().strip()


@pytest.mark.parametrize("mode", MODES)
async def test_a_real_client_is_served_over_http(mode: str, tmp_path: Path, real_io: None) -> None:
    with anyio.fail_after(75), http_server(tmp_path) as (_, url):
        async with http_client(url, token_for("alice"), mode) as client:
            made = await ok(client, "provision_workspace")
            started = await ok(client, "start_process", command="x", chat=made["chat"])
            assert started["output"] == "x\n"
            refusal = await client.call_tool("list_processes", {})
            assert refusal.is_error
            other = await ok(client, "provision_workspace")
            assert (await ok(client, "list_processes", chat=other["chat"]))["total"] == 0


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT"])
async def test_an_http_server_closes_all_and_ends_though_calls_wait(how: str, tmp_path: Path, real_io: None) -> None:
    with anyio.fail_after(75), http_server(tmp_path) as (server, url):
        async with anyio.create_task_group() as tasks, http_client(url, token_for("alice"), MODES[1]) as client:
            chat = (await ok(client, "provision_workspace"))["chat"]
            waiting = {"command": "hang", "wait_s": 45, "chat": chat}

            async def wait_in_vain() -> None:
                with pytest.raises(Exception):  # noqa: B017, PT011 - however the transport says that it ended
                    await client.call_tool("start_process", waiting)

            tasks.start_soon(wait_in_vain)
            while not (await ok(client, "list_processes", chat=chat))["total"]:  # noqa: ASYNC110 - another program
                await anyio.sleep(0.01)
            server.process.send_signal(signal.Signals[how])
            code = await anyio.to_thread.run_sync(server.process.wait, END_S)
            assert code == CODES[how]
            tasks.cancel_scope.cancel()
        assert server.stderr.read().decode().endswith("serving ended\ncore closed\n")
