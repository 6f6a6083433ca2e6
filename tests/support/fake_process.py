"""One process of a fake execd: its script, its output under absolute offsets, how it ended."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from support.fake_output import FakeOutput
from support.fake_shell import run_shell, run_words

EPOCH_MS = 1_795_000_000_000


def now_ms() -> int:
    """The event loop's clock as milliseconds since some day."""
    return EPOCH_MS + int(anyio.current_time() * 1000) % 10**9


@dataclass
class FakeProcess:
    """A process and everything that is said of it."""

    request: Mapping[str, object]
    pid: int
    cwd: str
    environment: Mapping[str, str]
    linger_grace_s: float
    on_change: Callable[[FakeProcess, str], None]
    state: str = "running"
    code: int | None = None
    signal: str | None = None
    reason: str = ""
    lingering: list[int] = field(default_factory=list[int])
    ignored: set[str] = field(default_factory=set[str])
    is_receipt: bool = False
    ended_s: float = math.inf

    def __post_init__(self) -> None:
        sizes = (int(str(self.request.get("head_bytes", 65536))), int(str(self.request.get("tail_bytes", 1 << 20))))
        self.out = FakeOutput(*sizes)
        self.err = FakeOutput(*sizes) if self.request.get("streams") == "separate" else None
        self.began_s = anyio.current_time()
        self.started_at_ms = now_ms()
        self.ended_at_ms = 0
        self.is_stdin_open = bool(self.request.get("stdin")) or self.has_tty
        self.size = self.request.get("tty")
        self.changed = anyio.Event()
        self.last_change_s = self.began_s
        self._stdin = bytearray()
        self._children: dict[int, anyio.CancelScope] = {}
        self._main = anyio.CancelScope()
        self._tasks: TaskGroup | None = None

    @property
    def id(self) -> str:
        return str(self.request["process"])

    @property
    def chat(self) -> str:
        return str(self.request["chat"])

    @property
    def has_tty(self) -> bool:
        return self.request.get("tty") is not None

    async def run(self) -> None:
        """Live: the script, then the grace for children that hold the pipe."""
        async with anyio.create_task_group() as self._tasks:
            with self._main:
                limit = int(str(self.request.get("time_limit_ms", 0)))
                self._main.deadline = anyio.current_time() + limit / 1000 if limit else math.inf
                code = await self._script()
                self.code = None if self.signal else code
            if self.code is None and self.signal is None:
                self.signal, self.reason = "KILL", "time_limit"
                self._end_children()
            if self._children:
                await anyio.sleep(self.linger_grace_s)
            self._end()
            while self._children:
                await self.changed.wait()
        for output in self._outputs():
            output.is_final = True
        is_news, self.lingering = not self.lingering, []
        self.change("ended" if is_news else "")

    def write(self, data: bytes, *, is_err: bool) -> None:
        if self.has_tty:
            data = data.replace(b"\n", b"\r\n")
        (self.err if is_err and self.err is not None else self.out).write(data)
        self.last_change_s = anyio.current_time()
        self.change("grew")

    async def read_line(self) -> bytes:
        while b"\n" not in self._stdin and self.is_stdin_open:
            await self.changed.wait()
        end = self._stdin.find(b"\n") + 1 or len(self._stdin)
        line = bytes(self._stdin[:end])
        del self._stdin[:end]
        return line

    async def read_some(self) -> bytes:
        while not self._stdin and self.is_stdin_open:
            await self.changed.wait()
        data = bytes(self._stdin)
        self._stdin.clear()
        return data

    def fork(self, run: Callable[[], Awaitable[None]]) -> None:
        pid = self.pid * 100 + len(self._children) + 1
        scope = self._children[pid] = anyio.CancelScope()

        async def child() -> None:
            with scope:
                await run()
            del self._children[pid]
            self.change("")

        assert self._tasks is not None
        self._tasks.start_soon(child)

    def die(self, signal: str) -> None:
        self.hit(signal)

    def feed(self, data: bytes, *, close: bool) -> None:
        self._stdin += data
        if close:
            self.is_stdin_open = False
        self.change("")

    def hit(self, signal: str) -> int:
        """Deliver a signal; returns how many processes got it."""
        count = len(self._children) + (self.state == "running")
        if signal == "KILL" or signal not in self.ignored:
            self._end_children()
            if self.state == "running" and self.code is None:
                self.signal = signal
                self._main.cancel()
        return count

    @property
    def living(self) -> int:
        return len(self._children) + (self.state == "running")

    def change(self, kind: str) -> None:
        changed, self.changed = self.changed, anyio.Event()
        changed.set()
        if kind:
            self.on_change(self, kind)

    def describe(self) -> dict[str, object]:
        """The Process object of the protocol."""
        shell = str(self.request.get("shell", ""))
        said: dict[str, object] = {
            "process": self.id,
            "chat": self.chat,
            "argv": ["sh", "-c", shell] if shell else self.request["argv"],
            "shell": shell,
            "cwd": self.cwd,
            "user": self.request.get("user", ""),
            "has_tty": self.has_tty,
            "has_stdin": self.is_stdin_open and self.state == "running",
            "streams": self.request.get("streams", "merged"),
            "key": self.request.get("key", ""),
            "pid": self.pid,
            "state": self.state,
            "started_at_ms": self.started_at_ms,
            "duration_ms": int((min(self.ended_s, anyio.current_time()) - self.began_s) * 1000),
            "out": self.out.span(),
            "is_receipt": self.is_receipt,
        }
        optional: dict[str, object | None] = {
            "ended_at_ms": self.ended_at_ms or None,
            "code": self.code if self.state == "ended" else None,
            "signal": self.signal if self.state == "ended" else None,
            "reason": self.reason or None,
            "err": self.err.span() if self.err is not None else None,
            "lingering": self.lingering or None,
            "last": (self.out.head + self.out.tail)[-1024:].decode(errors="replace") if self.is_receipt else None,
        }
        return said | {name: value for name, value in optional.items() if value is not None}

    async def _script(self) -> int:
        shell = str(self.request.get("shell", ""))
        argv = self.request.get("argv")
        if shell:
            return await run_shell(shell, self)
        assert isinstance(argv, list)
        return await run_words([str(word) for word in argv], self)

    def _end(self) -> None:
        self.state = "ended"
        self.ended_s = anyio.current_time()
        self.ended_at_ms = now_ms()
        self.lingering = sorted(self._children)
        if self._children:
            self.change("ended")

    def _end_children(self) -> None:
        for scope in self._children.values():
            scope.cancel()

    def _outputs(self) -> list[FakeOutput]:
        return [self.out] if self.err is None else [self.out, self.err]
