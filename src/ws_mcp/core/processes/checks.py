"""Whether what a chat asks for can be asked at all: said before anything is sent (pure)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import replace

from ws_mcp.core.errors import InvalidArgumentError, one_line
from ws_mcp.core.processes.environment import RESERVED
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.processes.model import SIGNALS, ReadRequest, StartRequest, Streams, TtySize, Until, Wait

IN_A_FILE = "write more into a file and use that"
CLOSED_TREES = ("/proc", "/sys", "/dev")

_PROCESS_ID = re.compile(r"p_[0-9a-z]{1,32}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?\$?")
_MAX_OFFSET = 1 << 62


def is_process_id(text: str) -> bool:
    """Whether `text` could be one of our process ids."""
    return _PROCESS_ID.fullmatch(text) is not None


def check_start(request: StartRequest, limits: ProcessLimits) -> StartRequest:
    """The request with its cwd normalised.

    Raises:
        InvalidArgumentError: it cannot be started as it is; says why and what can.
    """
    _check_command(request.command, limits)
    _check_environment(request.environment, limits)
    _check_text("user", request.user, limits.user_bytes)
    if request.user and not _USER.fullmatch(request.user):
        raise InvalidArgumentError("user is a name, or numbers as in `1000` or `1000:1000`")
    _check_text("request_key", request.request_key, limits.request_key_bytes)
    _check_span("time_limit_s", request.time_limit_s, limits.time_limit_s)
    if request.tty is not None:
        check_size(request.tty, limits)
        if request.streams is Streams.SEPARATE:
            raise InvalidArgumentError("a terminal has one stream: give pty or separate_stderr, not both")
    if request.first is not None:
        check_read(request.first, limits)
    cwd = _normal_cwd(request.cwd, limits)
    return request if cwd == request.cwd else replace(request, cwd=cwd)


def check_read(request: ReadRequest, limits: ProcessLimits) -> None:
    """Check a window and its wait; offsets beyond the end are found by execd.

    Raises:
        InvalidArgumentError
    """
    if request.offset < 0:
        raise InvalidArgumentError("offset is a number of bytes from the start of the output: 0 or more")
    if request.offset >= _MAX_OFFSET:
        raise InvalidArgumentError("offset is beyond the end of any output; give the next offset of an answer, or tail")
    if not 1 <= request.limit_bytes <= limits.read_bytes:
        raise InvalidArgumentError(f"limit is 1 to {limits.read_bytes} bytes")
    if not 0 <= request.tail_bytes <= limits.read_bytes:
        raise InvalidArgumentError(f"tail is 0 to {limits.read_bytes} bytes")
    if request.wait is not None:
        _check_wait(request.wait, limits)


def check_input(data: bytes, limits: ProcessLimits) -> None:
    """Check the size of input.

    Raises:
        InvalidArgumentError
    """
    if len(data) > limits.input_bytes:
        raise InvalidArgumentError(
            f"input has {len(data)} bytes; at most {limits.input_bytes} at once: write it in parts"
        )


def check_size(size: TtySize, limits: ProcessLimits) -> None:
    """Check the size of a terminal.

    Raises:
        InvalidArgumentError
    """
    if not (1 <= size.cols <= limits.terminal_size and 1 <= size.rows <= limits.terminal_size):
        raise InvalidArgumentError(f"a terminal has 1 to {limits.terminal_size} columns and rows")


def check_limit(limit: int, limits: ProcessLimits) -> None:
    """Check how many processes a list may have.

    Raises:
        InvalidArgumentError
    """
    if not 1 <= limit <= limits.listed:
        raise InvalidArgumentError(f"limit is 1 to {limits.listed} processes")


def check_grace(grace_s: float, limits: ProcessLimits) -> None:
    """Check the time between a signal and KILL.

    Raises:
        InvalidArgumentError
    """
    _check_span("grace_s", grace_s, limits.grace_s)


def signal_of(text: str) -> str:
    """The name of a signal as execd has it, from any spelling with or without SIG.

    Raises:
        InvalidArgumentError: it is none of the seven.
    """
    name = text[:40].strip().upper().removeprefix("SIG")
    if name not in SIGNALS:
        raise InvalidArgumentError(f"signal {one_line(text[:40])!r} is unknown; there are {', '.join(SIGNALS)}")
    return name


def _check_command(command: str | tuple[str, ...], limits: ProcessLimits) -> None:
    words = (command,) if isinstance(command, str) else command
    if not words or not words[0].strip():
        raise InvalidArgumentError("the command is empty; give a shell line, or a program with its arguments")
    if sum(map(len, words)) > limits.command_bytes:
        raise InvalidArgumentError(_too_long("the command", limits.command_bytes, IN_A_FILE))
    _check_text("the command", "".join(words), limits.command_bytes, IN_A_FILE)


def _check_environment(environment: Mapping[str, str], limits: ProcessLimits) -> None:
    if len(environment) > limits.environment_variables:
        raise InvalidArgumentError(
            f"env has {len(environment)} variables; at most {limits.environment_variables}: write more into a file"
        )
    left = limits.environment_bytes
    for name, value in environment.items():
        # Counted as characters first: 100 MB must not be copied to be refused.
        left -= len(name) + len(value)
        if left < 0:
            raise InvalidArgumentError(_too_long("env", limits.environment_bytes, IN_A_FILE))
        if not name or "=" in name:
            raise InvalidArgumentError(
                f"env: {one_line(name, 40)!r} cannot be a name; names are not empty and have no ="
            )
        if name.startswith(RESERVED):
            raise InvalidArgumentError(f"env: names that begin with {RESERVED} are reserved; choose another")
        _check_text("env", name + value, limits.environment_bytes, IN_A_FILE)


def _normal_cwd(cwd: str, limits: ProcessLimits) -> str:
    _check_text("cwd", cwd, limits.cwd_bytes)
    if not cwd:
        return ""
    if not cwd.startswith("/"):
        raise InvalidArgumentError("cwd is an absolute path inside the workspace, as in /workspace/src, or empty")
    normal = "/" + posixpath.normpath(cwd).lstrip("/")
    if any(normal == tree or normal.startswith(f"{tree}/") for tree in CLOSED_TREES):
        raise InvalidArgumentError(f"cwd cannot be in {', '.join(CLOSED_TREES)}; leave it out to begin in /workspace")
    return normal


def _check_wait(wait: Wait, limits: ProcessLimits) -> None:
    _check_span("wait_s", wait.wait_s, limits.wait_s)
    _check_span("idle_s", wait.idle_s, limits.wait_s)
    _check_text("pattern", wait.pattern, limits.pattern_bytes)
    if wait.until is Until.PATTERN and not wait.pattern:
        raise InvalidArgumentError("a wait for a pattern needs one")


def _check_span(name: str, seconds: float, most_s: float) -> None:
    # Written so that NaN fails.
    if not 0 <= seconds <= most_s:
        raise InvalidArgumentError(f"{name} is 0 to {most_s:g} seconds")


def _check_text(name: str, text: str, limit_bytes: int, remedy: str = "give a shorter one") -> None:
    if "\x00" in text:
        raise InvalidArgumentError(f"{name} has a NUL byte, which cannot be passed to a process; leave it out")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(
            f"{name} has half a character (a lone surrogate), which cannot be passed on; give whole ones"
        ) from error
    if size > limit_bytes:
        raise InvalidArgumentError(_too_long(name, limit_bytes, remedy))


def _too_long(name: str, limit_bytes: int, remedy: str) -> str:
    return f"{name} is too long: at most {limit_bytes} bytes; {remedy}"
