"""What a fake execd knows and does in one boot, without its wire.

Source: execd/PROTOCOL.md, sections "Process" and "Requests".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import TaskGroup

from support.fake_process import FakeProcess
from support.fake_shell import PROGRAMS
from support.fake_wait import FakeWait

SIGNALS = ("TERM", "KILL", "INT", "HUP", "QUIT", "USR1", "USR2")
GREW_S = 0.05
KILL_S = 5.0

FIELDS = {
    "hello": {"protocol", "secret", "client", "events"},
    "start": {"process", "chat", "key", "digest", "argv", "shell", "cwd", "env", "clear_env", "user", "tty", "stdin"}
    | {"streams", "time_limit_ms", "max_running", "head_bytes", "tail_bytes", "first"},
    "list": {"chat", "all", "state", "skip", "limit", "receipts"},
    "get": {"process", "chat"},
    "read": {"process", "chat", "stream", "offset", "limit", "tail", "wait"},
    "write": {"process", "chat", "close"},
    "resize": {"process", "chat", "cols", "rows"},
    "signal": {"process", "chat", "signal", "grace_ms"},
    "cancel": {"target"},
    "stats": set[str](),
    "ping": set[str](),
    "stop": {"grace_ms"},
    "stat": {"root", "path"},
    "read_file": {"root", "path", "offset", "limit"},
    "write_file": {"root", "path", "mode", "makes_directories"},
    "list_directory": {"root", "path", "limit"},
    "probe": {"tcp", "http", "timeout_ms"},
    "release": set[str](),
}

Request = Mapping[str, Any]
Said = dict[str, object]


class RefusalError(Exception):
    """An error reply."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class FakeLimits:
    """What the command line of the real one sets."""

    keep_ended: int = 100
    keep_ended_s: float = 900.0
    keep_receipts_s: float = 86_400.0
    linger_grace_s: float = 0.5
    main: tuple[str, ...] = ()
    is_gated: bool = False


class FakePlace:
    """The processes of one boot, by id."""

    def __init__(self, place: str, limits: FakeLimits, tasks: TaskGroup, emit: Callable[[Said], None]) -> None:
        self.place = place
        self.processes: dict[str, FakeProcess] = {}
        self.directories = {"", "/", "/tmp", "/workspace"}
        self._limits = limits
        self._tasks = tasks
        self._emit = emit
        self._scopes: list[anyio.CancelScope] = []
        self._grew: set[str] = set()

    def kill_all(self) -> None:
        for scope in self._scopes:
            scope.cancel()

    async def start(self, request: Request, scope: anyio.CancelScope) -> tuple[Said, bytes]:
        process, is_repeated = self._started(request)
        said: Said = {"process": process.describe()}
        data = b""
        first = request.get("first")
        if first is not None and not process.is_receipt:
            said, data = await self.read({"process": process.id, "chat": request["chat"], "offset": 0} | first, scope)
        return said | {"repeated": is_repeated}, data

    def _started(self, request: Request) -> tuple[FakeProcess, bool]:
        self._age()
        known = self._known_start(request)
        if known is not None:
            return known, True
        self._check_start(request)
        own = {"WSMCP_PROCESS": f"{self.place}/{request['process']}"}
        given: dict[str, str] = request.get("env") or {}
        process = FakeProcess(
            request=request,
            pid=41 + len(self._scopes),
            cwd=request.get("cwd") or "/workspace",
            environment={name: value for name, value in given.items() if not name.startswith("WSMCP_")} | own,
            linger_grace_s=self._limits.linger_grace_s,
            on_change=self._on_change,
        )
        self.processes[process.id] = process
        self._tasks.start_soon(self._live, process)
        self._emit({"event": "started", "process": process.describe()})
        return process, False

    def list(self, request: Request) -> Said:
        self._age()
        mine = [p for p in self.processes.values() if request.get("all") or p.chat == request["chat"]]
        state = request.get("state")
        # Of two starts in one tick the later one counts as newer: the sort is stable.
        chosen = [
            p
            for p in reversed(mine)
            if (not state or p.state == state) and (request.get("receipts") or not p.is_receipt)
        ]
        chosen.sort(key=lambda p: (p.state != "running", -p.began_s))
        begin = request.get("skip", 0)
        shown = chosen[begin : begin + (request.get("limit") or len(chosen))]
        running = sum(p.state == "running" for p in mine)
        return {"processes": [p.describe() for p in shown], "total": len(chosen), "running": running}

    def find(self, request: Request) -> FakeProcess:
        self._age()
        process = self.processes.get(request["process"])
        if process is None or process.chat != request["chat"]:
            raise RefusalError("not_found", f"this chat has no process {request['process']!r}")
        return process

    async def read(self, request: Request, scope: anyio.CancelScope) -> tuple[Said, bytes]:
        process = self.find(request)
        if process.is_receipt:
            raise RefusalError("expired", "its output is no longer kept")
        output = process.err if request.get("stream") == "err" else process.out
        if output is None:
            raise RefusalError("no_stream", f"process {process.id} has one stream")
        if "offset" in request and "tail" in request:
            raise RefusalError("bad_request", "a read has an offset or a tail")
        offset: int = request.get("offset", 0)
        if offset > output.end:
            raise RefusalError("bad_offset", f"offset {offset}: the output ends at {output.end}")
        said: Said = {}
        if request.get("wait") is not None:
            try:
                said = await FakeWait(process, output, offset, request["wait"]).run(scope)
            except re.error as error:
                raise RefusalError("bad_pattern", str(error)) from error
        limit = request.get("limit", 65536)
        begin = output.last(min(request["tail"], limit)) if "tail" in request else offset
        start, data = output.window(begin, limit)
        said |= {"start": start, "end": start + len(data), "missed": start - begin}
        return {"process": process.describe()} | said, data

    def write(self, request: Request, body: bytes) -> Said:
        process = self.find(request)
        if process.state == "ended":
            raise RefusalError("ended", "it has ended")
        if not process.is_stdin_open:
            raise RefusalError("no_stdin", "its stdin is not open")
        process.feed(body, close=bool(request.get("close")))
        return {"written": len(body)}

    def resize(self, request: Request) -> Said:
        process = self.find(request)
        if not process.has_tty:
            raise RefusalError("no_tty", "it has no terminal")
        process.size = {"cols": request["cols"], "rows": request["rows"]}
        return {}

    async def signal(self, request: Request) -> Said:
        process = self.find(request)
        name, grace_ms = request["signal"], request.get("grace_ms", 0)
        if name not in SIGNALS:
            raise RefusalError("bad_signal", f"{name!r} is none of {', '.join(SIGNALS)}")
        if not process.living:
            raise RefusalError("ended", "it has ended")
        count = process.hit(name)
        if name == "KILL" or grace_ms:
            with anyio.move_on_after(KILL_S if name == "KILL" else grace_ms / 1000) as scope:
                await _gone(process)
            if scope.cancelled_caught:
                process.hit("KILL")
                await _gone(process)
        left = process.living
        return {"process": process.describe(), "signalled": count, "gone": count - left, "left": left}

    def stats(self) -> Said:
        found = list(self.processes.values())
        running = sum(p.state == "running" for p in found)
        receipts = sum(p.is_receipt for p in found)
        return {"running": running, "ended": len(found) - running - receipts, "receipts": receipts}

    def _known_start(self, request: Request) -> FakeProcess | None:
        key = request.get("key")
        for process in self.processes.values():
            is_keyed = bool(key) and process.chat == request["chat"] and process.request.get("key") == key
            if process.id == request["process"] or is_keyed:
                if process.request.get("digest") != request.get("digest") or process.chat != request["chat"]:
                    raise RefusalError("conflict", f"{process.id!r} was another request")
                return process
        return None

    def _check_start(self, request: Request) -> None:
        first = request.get("first") or {}
        if first.get("limit", 1) < 1 or (first.get("wait") or {}).get("until", "exit") not in (
            "exit",
            "output",
            "idle",
        ):
            raise RefusalError("bad_request", "the first look cannot be")
        running = sum(p.state == "running" and p.chat == request["chat"] for p in self.processes.values())
        if running >= request.get("max_running", math.inf):
            raise RefusalError("limit", f"this chat has {running} running processes here")
        argv = request.get("argv")
        if (argv is None) == (request.get("shell") is None):
            raise RefusalError("bad_request", "exactly one of argv and shell")
        if request.get("cwd", "") not in self.directories:
            raise RefusalError("bad_cwd", f"{request['cwd']!r} is no directory")
        if argv and argv[0] not in PROGRAMS:
            raise RefusalError("no_command", f"{argv[0]!r} is not there")

    def _age(self) -> None:
        ended = sorted((p for p in self.processes.values() if p.state == "ended"), key=lambda p: p.ended_s)
        now = anyio.current_time()
        whole = [p for p in ended if not p.is_receipt]
        for number, process in enumerate(whole):
            is_surplus = number < len(whole) - self._limits.keep_ended
            process.is_receipt = is_surplus or now - process.ended_s > self._limits.keep_ended_s
        for process in ended:
            if now - process.ended_s > self._limits.keep_receipts_s:
                del self.processes[process.id]
                self._emit({"event": "forgotten", "process": process.id, "chat": process.chat})

    async def _live(self, process: FakeProcess) -> None:
        with anyio.CancelScope() as scope:
            self._scopes.append(scope)
            await process.run()

    def _on_change(self, process: FakeProcess, kind: str) -> None:
        if kind == "ended":
            self._emit({"event": "ended", "process": process.describe()})
        elif process.id not in self._grew:
            self._grew.add(process.id)
            self._tasks.start_soon(self._say_grew, process)

    async def _say_grew(self, process: FakeProcess) -> None:
        await anyio.sleep(GREW_S)
        self._grew.discard(process.id)
        self._emit({"event": "grew", "process": process.id, "chat": process.chat, "end": process.out.end})


async def _gone(process: FakeProcess) -> None:
    while process.living:
        await process.changed.wait()
