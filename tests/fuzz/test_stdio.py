"""Fuzzing of the lines that a real stdio server reads: it always answers the next one, in JSON-RPC."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import IO, Any, cast

from support.fuzzing import HANG_S, arguments_for, chances, mutated_bytes, mutated_value, schemas, told
from support.http_ground import HELLO, META
from support.memory import memory_of
from support.peers import project_of, server_argv, server_environment

GROWTH_BYTES = 48 << 20
SCHEMAS = schemas()
# Nothing that begins something on this machine: what tools do with their arguments is another fuzzer's.
TOOLS = sorted(SCHEMAS.keys() - {"provision_workspace", "recreate_devcontainer"})
METHODS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ping", {}),
    ("tools/list", {}),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    ("resources/read", {"uri": "ws://chats"}),
    ("resources/subscribe", {"uri": "ws://processes"}),
    ("server/discover", {}),
    ("logging/setLevel", {"level": "debug"}),
    (
        "completion/complete",
        {"ref": {"type": "ref/resource", "uri": "ws://processes/{id}"}, "argument": {"name": "id"}},
    ),
    ("notifications/cancelled", {"requestId": 1, "reason": "x"}),
    ("notifications/progress", {"progressToken": 1, "progress": 0.5}),
)
KEPT = (
    b'{"jsonrpc":"2.0","method":"resources/subscribe","params":{"uri":"ws://no"}}',  # without an id: wants no answer
)


class Pipes:
    """A real server on pipes."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.child = child
        self._in, self._out = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
        self._rest = b""

    def send(self, line: bytes) -> None:
        self._in.write(line + b"\n")
        self._in.flush()

    def until_answered(self, number: str) -> None:
        """Read until the answer to this request; all before it has to be JSON-RPC, too."""
        deadline = time.monotonic() + HANG_S
        while (message := self._message(deadline)).get("id") != number:
            assert message.get("method") or "result" in message or "error" in message, message

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._out], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"the server said nothing for {HANG_S} s"
            piece = os.read(self._out.fileno(), 1 << 20)
            assert piece, f"the server ended with code {self.child.wait()}"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        message = json.loads(line)
        assert isinstance(message, dict)
        assert message["jsonrpc"] == "2.0", message
        assert sum(part in message for part in ("method", "result", "error")) == 1, message
        return message


@contextmanager
def _open_pipes(state: Path) -> Generator[Pipes]:
    with (state.parent / "stderr").open("wb") as log:
        child = subprocess.Popen(
            server_argv("stdio", state, "--engine", "none"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=server_environment(), cwd=project_of(state),
        )  # fmt: skip
        try:
            yield Pipes(child)
        finally:
            child.kill()
            child.communicate()


def _line(chance: Random) -> bytes:
    tool = chance.choice(TOOLS)
    called = ("tools/call", {"name": tool, "arguments": arguments_for(chance, SCHEMAS[tool])})
    method, params = called if chance.random() < 0.5 else chance.choice(METHODS)
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": dict(params)}
    if chance.random() < 0.4:
        message["params"]["_meta"] = META
    if not method.startswith("notifications/"):
        message["id"] = chance.choice((1, 2, "a", chance.randrange(1000)))
    if chance.random() < 0.6:
        return json.dumps(mutated_value(chance, message)).encode()
    return mutated_bytes(chance, json.dumps(message).encode())


def test_after_any_line_the_next_is_answered(tmp_path: Path) -> None:
    with _open_pipes(tmp_path / "state") as pipes:
        pipes.send(json.dumps({**HELLO, "id": "hello"}).encode())
        deadline = time.monotonic() + 60
        while pipes._message(deadline).get("id") != "hello":
            pass
        pipes.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        before = 0
        for at, (name, chance) in enumerate(chances(300)):
            line = KEPT[at] if at < len(KEPT) else _line(chance)
            with told(name, line):
                pipes.send(line)
                ping = f"ping {name}"
                pipes.send(json.dumps({"jsonrpc": "2.0", "id": ping, "method": "ping"}).encode())
                pipes.until_answered(ping)
                if at == 100:  # what is imported on first use is there
                    before = memory_of(pipes.child.pid)
        assert not before or memory_of(pipes.child.pid) - before < GROWTH_BYTES
        assert "Traceback" not in (tmp_path / "stderr").read_text()
