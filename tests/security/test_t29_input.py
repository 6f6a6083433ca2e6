"""T29: whatever comes on stdin is answered with an error, soon and in bounded memory, and the next call works."""

from __future__ import annotations

import json
import select
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO, Any, cast

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, lists, none, recursive, text
from support.edge_client import MODES, open_client, refused
from support.fake_core import FakeCore
from support.hostile import HEAD, HUGE, MESSAGES, WRONG_CALLS, bounded
from support.peers import project_of, server_argv, server_environment

from ws_mcp.edge.json_shape import MAX_DEPTH, ShapeError, check_shape


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

    @contextmanager
    def is_cheap(self, *, is_slow_to_read: bool = False) -> Generator[None]:
        """What is done in it takes no time and no memory worth speaking of, and the next call works."""
        self.ping(5)
        with bounded(self.child.pid, is_slow_to_read=is_slow_to_read):
            yield
            self.ping(6)


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


@pytest.mark.parametrize("name", MESSAGES)
def test_hostile_input_is_refused_cheaply_and_the_next_call_works(server: Server, name: str) -> None:
    line, code = MESSAGES[name]
    with server.is_cheap(is_slow_to_read=name == HUGE):
        server.send(line)
        answer = server.answer()
        assert answer["error"]["code"] == code, answer
        assert len(json.dumps(answer)) < 400


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_a_tool_refuses_what_it_cannot_take_as_cheaply(server: Server, name: str) -> None:
    with server.is_cheap():
        server.send(WRONG_CALLS[name])
        answer = server.answer()
        assert answer.get("result", {}).get("isError"), answer
        assert len(json.dumps(answer)) < 1500


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
