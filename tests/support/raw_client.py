"""A bare MCP client over the pipes of a child: newline-delimited JSON in both protocol eras, blocking.

It adds as little as can be to what is measured through it, and it can say what no honest client says. Not for tests of
behaviour that a real client sees: those use the SDK's `Client`.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

Json = dict[str, object]
Era = Literal["legacy", "modern"]
VERSIONS: Mapping[Era, str] = {"legacy": "2025-11-25", "modern": "2026-07-28"}
CLIENT = {"name": "raw", "version": "0"}
META: Json = {
    "io.modelcontextprotocol/protocolVersion": VERSIONS["modern"],
    "io.modelcontextprotocol/clientInfo": CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}


class RawClientError(Exception):
    """The server answered with a protocol error, ended, or did not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of a tool call as it came over the wire."""

    text: str
    structured: Json
    is_error: bool
    seconds: float = 0.0

    @classmethod
    def of(cls, result: Json, seconds: float) -> Answer:
        """What a result says."""
        content = cast("list[dict[str, str]]", result.get("content", []))
        return cls(
            text="\n".join(block.get("text", "") for block in content),
            structured=cast("Json", result.get("structuredContent") or {}),
            is_error=bool(result.get("isError", False)),
            seconds=seconds,
        )

    def sound(self, tool: str) -> Answer:
        """Itself, if it is no failure.

        Raises:
            RawClientError: with what it said.
        """
        if self.is_error:
            raise RawClientError(f"{tool}: {self.text}")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call to be made."""

    tool: str
    arguments: Json


class RawClient:
    """One connection; not safe for threads. `era` decides how requests look; `connect` comes first."""

    def __init__(self, child: subprocess.Popen[bytes], era: Era = "modern", timeout_s: float = 60) -> None:
        self.child = child
        self._era: Era = era
        self._timeout_s = timeout_s
        self._last_id = 0
        self._input = cast("IO[bytes]", child.stdin).fileno()
        self._output = cast("IO[bytes]", child.stdout).fileno()
        self._rest = b""
        self._parts: list[bytes] = []
        self._lines: deque[bytes] = deque()

    def connect(self) -> Json:
        """Say hello as the era does it; returns the server's answer."""
        if self._era == "modern":
            return self.request("server/discover", {})
        hello: Json = {"protocolVersion": VERSIONS["legacy"], "capabilities": {}, "clientInfo": CLIENT}
        answer = self.request("initialize", hello)
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def request(self, method: str, params: Json) -> Json:
        """Ask and wait for the answer.

        Raises:
            RawClientError
        """
        return self.answer_to(self.send(method, params))

    def call(self, tool: str, **arguments: object) -> Answer:
        """Call a tool.

        Raises:
            RawClientError
        """
        start = time.perf_counter()
        result = self.request("tools/call", {"name": tool, "arguments": arguments})
        return Answer.of(result, time.perf_counter() - start)

    def ok(self, tool: str, **arguments: object) -> Answer:
        """Call a tool that must succeed.

        Raises:
            RawClientError: it did not; with what it said.
        """
        return self.call(tool, **arguments).sound(tool)

    def call_all(self, calls: Sequence[Call], at_once: int) -> list[Answer]:
        """Make all calls with `at_once` open at any time, like that many callers; answers in the order of the calls.

        Raises:
            RawClientError: also when one of them was refused.
        """
        answers: list[Answer | None] = [None] * len(calls)
        open_calls: dict[int, tuple[int, float]] = {}
        upcoming = iter(enumerate(calls))

        def ask_next() -> None:
            if (item := next(upcoming, None)) is not None:
                place, call = item
                started = time.perf_counter()
                number = self.send("tools/call", {"name": call.tool, "arguments": call.arguments})
                open_calls[number] = (place, started)

        for _ in range(at_once):
            ask_next()
        while open_calls:
            number, message = self._next_answer()
            if number in open_calls:
                place, started = open_calls.pop(number)
                took = time.perf_counter() - started
                ask_next()
                answers[place] = Answer.of(self._result(message), took).sound(calls[place].tool)
        return [answer for answer in answers if answer is not None]

    def next_notification(self) -> Json:
        """Wait for what the server says by itself; answers that come before it are lost.

        Raises:
            RawClientError
        """
        while "id" in (message := cast("Json", json.loads(self._next_line()))):
            continue
        return message

    def forget_unread(self) -> None:
        """Pass over what the server has said so far."""
        while select.select([self._output], [], [], 0)[0]:
            self._read()
        self._lines.clear()

    def send(self, method: str, params: Json) -> int:
        """Ask and go on; returns the request's id."""
        self._last_id += 1
        self._write(self._asked(self._last_id, method, params))
        return self._last_id

    def send_as(self, number: int, method: str, params: Json) -> None:
        """Ask under an id of the caller's; `answer_to` waits for it."""
        self._write(self._asked(number, method, params))

    def answer_to(self, number: int) -> Json:
        """Wait for the next answer to an id.

        Raises:
            RawClientError
        """
        while True:
            found, message = self._next_answer()
            if found == number:
                return self._result(message)

    def tell(self, message: Json) -> None:
        """Say something that is no question, as it is."""
        self._write({"jsonrpc": "2.0", **message})

    def flood(self, method: str, params: Json, seconds: float) -> int:
        """Ask without reading, until `end_flood`, as much as the server takes; returns how often that was."""
        until, sent = time.monotonic() + seconds, 0
        os.set_blocking(self._input, False)
        rest = b""
        while time.monotonic() < until:
            if not rest:
                self._last_id += 1
                sent += 1
                rest = json.dumps(self._asked(self._last_id, method, params)).encode() + b"\n"
            _, is_free, _ = select.select([], [self._input], [], 0.05)
            rest = rest[os.write(self._input, rest) :] if is_free else rest
        self._rest = rest
        return sent

    def end_flood(self) -> None:
        """Read again, so that the server takes the end of the last question."""
        while self._rest:
            can_read, can_write, _ = select.select([self._output], [self._input], [], self._timeout_s)
            if can_write:
                self._rest = self._rest[os.write(self._input, self._rest) :]
            if can_read:
                self._read()
        os.set_blocking(self._input, True)

    def _asked(self, number: int, method: str, params: Json) -> Json:
        meta = {**META, **cast("Json", params.get("_meta", {}))}
        whole: Json = {**params, "_meta": meta} if self._era == "modern" else params
        return {"jsonrpc": "2.0", "id": number, "method": method, "params": whole}

    def _write(self, message: Json) -> None:
        rest = memoryview(json.dumps(message).encode() + b"\n")
        while rest:
            rest = rest[os.write(self._input, rest) :]

    def _next_answer(self) -> tuple[int, Json]:
        while True:
            message = cast("Json", json.loads(self._next_line()))
            if "id" in message and "method" not in message:
                return cast("int", message["id"]), message

    def _next_line(self) -> bytes:
        while not self._lines:
            ready, _, _ = select.select([self._output], [], [], self._timeout_s)
            if not ready:
                raise RawClientError(f"no answer within {self._timeout_s} s")
            self._read()
        return self._lines.popleft()

    def _read(self) -> None:
        chunk = os.read(self._output, 1 << 20)
        if not chunk:
            raise RawClientError(f"the server ended with code {self.child.wait()}")
        if b"\n" not in chunk:  # one part of many of a long line: joined once, at its end
            self._parts.append(chunk)
            return
        *whole, rest = b"".join((*self._parts, chunk)).split(b"\n")
        self._parts = [rest]
        self._lines.extend(whole)

    def _result(self, message: Json) -> Json:
        if "error" in message:
            raise RawClientError(json.dumps(message["error"]))
        return cast("Json", message["result"])


@contextmanager
def open_child(
    argv: Sequence[str],
    log: Path | None = None,
    *,
    only: Mapping[str, str] | None = None,
    end_s: float = 40,
    **environment: str,
) -> Generator[subprocess.Popen[bytes]]:
    """A server as a child with pipes; its stderr goes to `log` (or nowhere). Ended by EOF, then by force.

    `only`: its environment, instead of this one. `end_s`: how long EOF has.
    """
    whole = {**(os.environ if only is None else only), **environment}
    with (log or Path(os.devnull)).open("ab") as errors:
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=whole)
    try:
        yield child
    finally:
        cast("IO[bytes]", child.stdin).close()
        try:
            child.wait(end_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        cast("IO[bytes]", child.stdout).close()


@contextmanager
def open_raw_client(argv: Sequence[str], era: Era = "modern", log: Path | None = None) -> Generator[RawClient]:
    """A server as a child and a connection to it that has said hello."""
    with open_child(argv, log) as child:
        client = RawClient(child, era)
        client.connect()
        yield client


def timed(work: Callable[[], object]) -> float:
    """How long it takes, in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
