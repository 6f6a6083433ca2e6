"""Processes as values: what was asked for, what runs, how it ended, a window of its output (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ws_mcp.core.ids import PlaceId, ProcessId, WorkspaceName


class ProcessState(StrEnum):
    """`lost`: it was running when its container or execd restarted; how it ended is not known."""

    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"


class Streams(StrEnum):
    """One pipe for stdout and stderr keeps their order; two keep them apart."""

    MERGED = "merged"
    SEPARATE = "separate"


class Stream(StrEnum):
    """Which output to read; `err` only with separate streams."""

    OUT = "out"
    ERR = "err"


class Until(StrEnum):
    """What a read waits for."""

    EXIT = "exit"
    OUTPUT = "output"
    PATTERN = "pattern"
    IDLE = "idle"


class Woke(StrEnum):
    """Why a waiting read came back."""

    OUTPUT = "output"
    EXIT = "exit"
    PATTERN = "pattern"
    IDLE = "idle"
    TIMEOUT = "timeout"


SIGNALS = ("TERM", "KILL", "INT", "HUP", "QUIT", "USR1", "USR2")


@dataclass(frozen=True, slots=True, kw_only=True)
class TtySize:
    """Size of a pseudo terminal in characters."""

    cols: int = 120
    rows: int = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """A process that a chat asks for. `command` as a string runs through `sh -c`, as a tuple directly."""

    command: str | tuple[str, ...]
    cwd: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    user: str = ""
    tty: TtySize | None = None
    keeps_stdin: bool = False
    streams: Streams = Streams.MERGED
    time_limit_s: float = 0.0
    request_key: str = ""
    first: ReadRequest | None = None  # a window of stdout at once, after its wait; it does not tell requests apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended: by its own code, or by a signal (name without SIG). `reason`: `time_limit` or empty."""

    code: int | None = None
    signal: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRange:
    """Which bytes of a stream are kept: `[0, head_end)` and `[tail_start, end)`; between them they were dropped."""

    end: int = 0
    head_end: int = 0
    tail_start: int = 0
    is_final: bool = False

    @property
    def dropped(self) -> int:
        """Bytes that are no longer kept."""
        return self.tail_start - self.head_end


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessInfo:
    """One process as its execd describes it. `last`: last output of a receipt (its output is no longer kept)."""

    process: ProcessId
    workspace: WorkspaceName
    place: PlaceId
    command: str
    cwd: str
    state: ProcessState
    started_at: datetime
    ended_at: datetime | None = None
    duration_s: float = 0.0
    exit: Exit | None = None
    pid: int = 0
    out: OutputRange = OutputRange()
    err: OutputRange | None = None
    has_tty: bool = False
    has_stdin: bool = False
    lingering: tuple[int, ...] = ()
    is_receipt: bool = False
    last: str = ""
    lost_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Answer to a start; `was_repeated`: the same request key was seen before and this is the process of then."""

    info: ProcessInfo
    was_repeated: bool = False
    window: OutputWindow | None = None  # where `first` was asked for and there is output to look at


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What a read waits for, at most `wait_s` seconds."""

    until: Until
    wait_s: float
    pattern: str = ""
    idle_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """A window of output: from `offset` at most `limit_bytes`, or the last `tail_bytes` (then `offset` is ignored)."""

    stream: Stream = Stream.OUT
    offset: int = 0
    limit_bytes: int = 16_000
    tail_bytes: int = 0
    wait: Wait | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputWindow:
    """Bytes `[start, end)` of a stream; `missed` bytes between the asked offset and `start` are no longer kept."""

    info: ProcessInfo
    data: bytes
    start: int
    end: int
    missed: int = 0
    woke: Woke | None = None
    match: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The processes of a chat, running first, newest first; `total` and `running` count before the limit."""

    processes: tuple[ProcessInfo, ...]
    total: int
    running: int
    unavailable: tuple[str, ...] = ()  # workspaces that did not answer: their processes are unknown, not gone


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalResult:
    """What a signal did: processes reached, gone since, left."""

    info: ProcessInfo
    signalled: int
    gone: int
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of input: `written` of `asked` bytes were taken."""

    info: ProcessInfo
    written: int
    asked: int
    is_closed: bool
