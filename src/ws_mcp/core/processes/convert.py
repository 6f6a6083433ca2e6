"""Requests of the core as fields of execd's protocol, and its replies as values of the core (pure).

Replies come from a place that its own processes may rule: what is not as it should be is an `ExecdProtocolError`.
"""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from datetime import UTC, datetime
from typing import cast

from ws_mcp.core.errors import one_line
from ws_mcp.core.execd.protocol import ExecdProtocolError, Header, Reply, child, children, flag, integer, text
from ws_mcp.core.ids import ChatId, ProcessId
from ws_mcp.core.processes.environment import environment_of
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.processes.model import (
    Exit,
    OutputRange,
    OutputWindow,
    ProcessInfo,
    ProcessState,
    ReadRequest,
    SignalResult,
    StartRequest,
    Streams,
    TtySize,
    Until,
    Wait,
    Woke,
)
from ws_mcp.core.processes.port import PlaceRef

SHOWN_LINGERING = 100
SHOWN_LAST = 4096

_NOTHING = {is_final: OutputRange(is_final=is_final) for is_final in (False, True)}
_STATES = {state.value: state for state in (ProcessState.RUNNING, ProcessState.ENDED)}


def digest_of(request: StartRequest) -> str:
    """What makes two requests the same: all that was asked for but the key, as it was asked (no default filled in)."""
    tty = request.tty
    canonical = (
        request.command,
        request.cwd,
        sorted(request.environment.items()),
        request.user,
        (tty.cols, tty.rows) if tty else None,
        request.keeps_stdin,
        request.streams.value,
        request.time_limit_s,
    )
    return hashlib.sha256(json.dumps(canonical).encode()).hexdigest()


def start_fields(
    request: StartRequest, process: ProcessId, chat: ChatId, limits: ProcessLimits, max_running: int
) -> dict[str, object]:
    """The fields of `start`; what is execd's default is left out."""
    fields: dict[str, object] = {
        "process": process,
        "chat": chat,
        "digest": digest_of(request),
        "env": environment_of(request.environment, chat, has_tty=request.tty is not None),
        "max_running": max_running,
        "head_bytes": limits.head_bytes,
        "tail_bytes": limits.tail_bytes,
    }
    fields["shell" if isinstance(request.command, str) else "argv"] = request.command
    optional = {
        "key": request.request_key,
        "cwd": request.cwd,
        "user": request.user,
        "tty": size_fields(request.tty) if request.tty is not None else None,
        "stdin": request.keeps_stdin,
        "streams": request.streams.value if request.streams is not Streams.MERGED else "",
        "time_limit_ms": _ms(request.time_limit_s),
    }
    return fields | {name: value for name, value in optional.items() if value}


def first_fields(first: ReadRequest, wait_s: float) -> dict[str, object]:
    """The field `first` of `start`; `wait_s` is what is left of the wait."""
    wait = {"wait": _wait_fields(first.wait, wait_s)} if first.wait is not None else {}
    return {"first": {"limit": first.limit_bytes} | wait}


def read_fields(request: ReadRequest, wait_s: float) -> dict[str, object]:
    """The fields of `read` beside process and chat; `wait_s` is what is left of the wait."""
    fields: dict[str, object] = {"stream": request.stream.value}
    if request.tail_bytes:
        fields |= {"tail": request.tail_bytes, "limit": request.tail_bytes}
    else:
        fields |= {"offset": request.offset, "limit": request.limit_bytes}
    if request.wait is not None:
        fields["wait"] = _wait_fields(request.wait, wait_s)
    return fields


def info_of(header: Header | None, place: PlaceRef, chat: ChatId, process: ProcessId | None = None) -> ProcessInfo:
    """A Process object; of `process`, if that is given.

    Raises:
        ExecdProtocolError
    """
    if header is None:
        raise ExecdProtocolError("bad_message", "no process")
    found = ProcessId(text(header, "process"))
    if text(header, "chat") != chat or not found or (process is not None and found != process):
        raise ExecdProtocolError("bad_message", "another process than was asked for")
    state = _state(text(header, "state"))
    err = child(header, "err")
    return ProcessInfo(
        process=found,
        workspace=place.workspace,
        place=place.place,
        command=_command(header),
        cwd=text(header, "cwd"),
        state=state,
        started_at=_moment(integer(header, "started_at_ms")),
        ended_at=_moment(integer(header, "ended_at_ms")) if state is ProcessState.ENDED else None,
        duration_s=integer(header, "duration_ms") / 1000,
        exit=_exit(header) if state is ProcessState.ENDED else None,
        pid=integer(header, "pid"),
        out=_range(child(header, "out") or {}),
        err=_range(err) if err is not None else None,
        has_tty=flag(header, "has_tty"),
        has_stdin=flag(header, "has_stdin"),
        lingering=_numbers(header["lingering"]) if "lingering" in header else (),
        is_receipt=flag(header, "is_receipt"),
        last=text(header, "last")[-SHOWN_LAST:],
    )


def infos_of(header: Header, place: PlaceRef, chat: ChatId) -> tuple[ProcessInfo, ...]:
    """The processes of a list.

    Raises:
        ExecdProtocolError
    """
    return tuple(info_of(process, place, chat) for process in children(header, "processes"))


def window_of(reply: Reply, place: PlaceRef, chat: ChatId, process: ProcessId | None = None) -> OutputWindow:
    """A window of output; of `process`, if that is given.

    Raises:
        ExecdProtocolError
    """
    header = reply.header
    start, end, missed = integer(header, "start"), integer(header, "end"), integer(header, "missed")
    if start < 0 or missed < 0 or end - start != len(reply.body):
        raise ExecdProtocolError("bad_message", "a window that is not as long as it says")
    woke, match = text(header, "woke"), child(header, "match")
    try:
        why = Woke(woke) if woke else None
    except ValueError as error:
        raise ExecdProtocolError("bad_message", "an unknown reason to wake") from error
    return OutputWindow(
        info=info_of(child(header, "process"), place, chat, process),
        data=reply.body,
        start=start,
        end=end,
        missed=missed,
        woke=why,
        match=(integer(match, "start"), integer(match, "end")) if match is not None else None,
    )


def signalled_of(header: Header, place: PlaceRef, chat: ChatId, process: ProcessId) -> SignalResult:
    """What a signal did.

    Raises:
        ExecdProtocolError
    """
    return SignalResult(
        info=info_of(child(header, "process"), place, chat, process),
        signalled=integer(header, "signalled"),
        gone=integer(header, "gone"),
        left=integer(header, "left"),
    )


def size_fields(size: TtySize) -> dict[str, object]:
    """The size of a terminal."""
    return {"cols": size.cols, "rows": size.rows}


def _wait_fields(wait: Wait, wait_s: float) -> dict[str, object]:
    fields: dict[str, object] = {"until": wait.until.value, "timeout_ms": _ms(wait_s)}
    if wait.until is Until.PATTERN:
        fields["pattern"] = wait.pattern
    if wait.until is Until.IDLE:
        fields["idle_ms"] = _ms(wait.idle_s)
    return fields


def _ms(seconds: float) -> int:
    return math.ceil(seconds * 1000)


def _state(name: str) -> ProcessState:
    if name not in _STATES:
        raise ExecdProtocolError("bad_message", "an unknown state")
    return _STATES[name]


def _command(header: Header) -> str:
    shell = text(header, "shell")
    if shell:
        return shell
    words = header.get("argv")
    if not isinstance(words, list):
        raise ExecdProtocolError("bad_message", "a process without a command")
    return shlex.join(text({"word": word}, "word") for word in cast("list[object]", words))


def _exit(header: Header) -> Exit:
    reason = one_line(text(header, "reason"), 40)
    if "code" in header:
        return Exit(code=integer(header, "code"), reason=reason)
    return Exit(signal=one_line(text(header, "signal"), 40), reason=reason)


def _range(header: Header) -> OutputRange:
    end, head_end, tail_start = integer(header, "end"), integer(header, "head_end"), integer(header, "tail_start")
    if not 0 <= head_end <= tail_start <= end:
        raise ExecdProtocolError("bad_message", "an output with impossible offsets")
    is_final = flag(header, "is_final")
    if not end:
        return _NOTHING[is_final]
    return OutputRange(end=end, head_end=head_end, tail_start=tail_start, is_final=is_final)


def _moment(at_ms: int) -> datetime:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise ExecdProtocolError("bad_message", "an impossible time") from error


def _numbers(values: object) -> tuple[int, ...]:
    if not isinstance(values, list):
        raise ExecdProtocolError("bad_message", "a list of numbers that is none")
    found = cast("list[object]", values)[:SHOWN_LINGERING]
    return tuple(integer({"number": value}, "number") for value in found)
