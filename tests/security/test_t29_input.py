"""T29: whatever comes on stdin is answered with an error, soon and in bounded memory, and the next call works."""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any, cast

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, lists, none, recursive, text
from support.edge_client import MODES, open_client, refused
from support.fake_core import FakeCore
from support.peers import project_of, server_argv, server_environment

from ws_mcp.edge.json_shape import MAX_DEPTH, ShapeError, check_shape

LINE = 4 * 1024 * 1024 - 200
HEAD = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":'
MAX_CPU_S = 1.0
MAX_GROWTH_KIB = 32 * 1024

HOSTILE: dict[str, tuple[bytes, int]] = {
    "garbage": (b"garbage", -32700),
    "zero bytes": (b"\0" * 1000, -32700),
    "no UTF-8": (HEAD + b'{"a":"\xff\xfe"}}', -32700),
    "another encoding": ('{"jsonrpc":"2.0","id":1,"method":"ping"}'.encode("utf-16-le"), -32700),
    "a lone surrogate": (HEAD + rb'{"a":"\ud800"}}', -32700),
    "a lone surrogate as id": (rb'{"jsonrpc":"2.0","id":"\udfff","method":"ping"}', -32700),
    "100,000 arrays deep": (HEAD + b"[" * 100_000 + b"]" * 100_000 + b"}", -32600),
    "100,000 objects deep": (HEAD + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", -32600),
    "33 levels": (HEAD + b"[" * 33 + b"]" * 33 + b"}", -32600),
    "open brackets only": (b"[" * LINE, -32600),
    "a million empty lists": (HEAD + b"[" + b"[]," * (LINE // 3) + b"[]]}", -32600),
    "a million empty objects": (HEAD + b"[" + b"{}," * (LINE // 3) + b"{}]}", -32600),
    "two million numbers": (HEAD + b"[" + b"1," * (LINE // 2) + b"1]}", -32600),
    "a number of 4,000 digits": (HEAD + b"1" * 4000 + b"}", -32600),
    "an id of 4,000 digits": (b'{"jsonrpc":"2.0","id":' + b"1" * 4000 + b',"method":"ping"}', -32600),
    "an id of 100,000 characters": (b'{"jsonrpc":"2.0","id":"' + b"a" * 100_000 + b'","method":"ping"}', -32600),
    "a number that is infinite": (HEAD + b'{"a":1e999}}', -32600),
    "NaN": (HEAD + b'{"a":NaN}}', -32600),
    "minus infinity": (HEAD + b'{"a":-Infinity}}', -32600),
    "a method twice": (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}', -32600),
    "an argument twice": (HEAD + b'{"name":"x","arguments":{"tier":1,"tier":4}}}', -32600),
    "a batch of 10,000": (b"[" + b",".join([HEAD + b"{}}"] * 10_000) + b"]", -32600),
    "an empty batch": (b"[]", -32600),
    "a string without end": (HEAD + b'"' + rb"\"" * (LINE // 2), -32700),
    "quotes only": (HEAD + b'"' * LINE, -32700),
    "100 MB of environment": (HEAD + b'{"env":"' + b"x" * 100_000_000 + b'"}}', -32600),
}


class Server:
    """A real server on pipes that takes bytes as they are."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.child = child
        self._out = cast("IO[bytes]", child.stdout)

    def send(self, line: bytes) -> None:
        pipe = cast("IO[bytes]", self.child.stdin)
        pipe.write(line + b"\n")
        pipe.flush()

    def answer(self) -> dict[str, Any]:
        ready, _, _ = select.select([self._out], [], [], 60)
        assert ready, "the server said nothing"
        return cast("dict[str, Any]", json.loads(self._out.readline()))

    def ping(self, number: int) -> None:
        self.send(b'{"jsonrpc":"2.0","id":%d,"method":"ping"}' % number)
        assert self.answer() == {"jsonrpc": "2.0", "id": number, "result": {}}

    @property
    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def peak_kib(self) -> int:
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    state = tmp_path_factory.mktemp("t29") / "state"
    child = subprocess.Popen(
        server_argv("stdio", state, "--engine", "none"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=server_environment(),
        cwd=project_of(state),
    )
    made = Server(child)
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    made.send(json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}).encode())
    assert made.answer()["id"] == 0
    made.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    try:
        yield made
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_is_refused_cheaply_and_the_next_call_works(server: Server, name: str) -> None:
    line, code = HOSTILE[name]
    server.ping(5)
    cpu, peak = server.cpu_s, server.peak_kib
    server.send(line)
    answer = server.answer()
    assert answer["error"]["code"] == code, answer
    assert len(json.dumps(answer)) < 400
    server.ping(6)
    if name != "100 MB of environment":  # reading it from the pipe takes most of that
        assert server.cpu_s - cpu < MAX_CPU_S
    assert server.peak_kib - peak < MAX_GROWTH_KIB


@given(recursive(none() | text(), lambda inner: lists(inner) | dictionaries(text(), inner), max_leaves=60))
def test_what_is_honest_passes_at_whatever_depth_is_allowed(value: object) -> None:
    line = json.dumps(value).encode()
    depth = _depth(value)
    if depth <= MAX_DEPTH:
        check_shape(line)
    else:
        with pytest.raises(ShapeError):
            check_shape(line)


def test_a_long_text_may_have_commas_brackets_and_digits() -> None:
    check_shape(HEAD + json.dumps("[{,1" * 200_000 + "1" * 5000 + '"\\').encode() + b"}")
    check_shape(HEAD + b"[" * 31 + b"]" * 31 + b"}")


@pytest.mark.parametrize("mode", MODES)
async def test_a_refused_argument_is_named_and_its_value_is_not_repeated(mode: str) -> None:
    secret = "hunter2-hunter2"
    bad: list[tuple[str, dict[str, Any]]] = [
        ("start_process", {"command": {"a": secret}}),
        ("start_process", {"command": "x", "env": {secret: 5}}),
        ("start_process", {"command": "x", "env": {f"N{n}": secret for n in range(200)}}),
        ("start_process", {"command": "x", "env": {"A": secret * 20_000}}),
        ("provision_workspace", {"tier": secret}),
        ("provision_workspace", {"options": {"secrets": {secret: [secret]}}}),
        ("provision_workspace", {"options": {"files": {f"{n}": secret for n in range(300)}}}),
        ("workspace_files", {"action": "write_base64", "path": "x", "content": f"{secret}!"}),
        ("remove_workspace", {"name": "main", "keep_data": secret}),
    ]
    async with open_client(FakeCore(), mode) as client:
        for tool, arguments in bad:
            said = await refused(client, tool, **arguments)
            assert secret not in said, tool
            assert len(said) < 1000
        assert "takes no 'nonsense'" in await refused(client, "list_processes", nonsense=1)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        inner = list(cast("dict[str, object]", value).values())
    elif isinstance(value, list):
        inner = cast("list[object]", value)
    else:
        return 0
    return 1 + max((_depth(each) for each in inner), default=0)
