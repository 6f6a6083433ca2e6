"""Starts the execd of a local place so that it outlives this server, and ends one that no longer answers."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread

from ws_mcp.core.errors import PlaceUnavailableError, StorageFullError, is_unwritable, one_line
from ws_mcp.core.host.leftovers import kill_left
from ws_mcp.core.host.sandbox import (
    LocalPlace,
    host_environment,
    plain_argv,
    sandbox_arguments,
    sandbox_argv,
)

START_S = 10.0
GONE_S = 5.0
POLL_S = 0.005
# The shell ends at once, so the daemon belongs to init and not to this server; it says the daemon's pid.
DETACH = 'log=$1 arguments=$2; shift 2; "$@" 9<"$arguments" </dev/null >/dev/null 2>"$log" & echo $!'


async def launch(place: LocalPlace, program: Path, given: Mapping[str, str], *, is_sandboxed: bool) -> None:
    """Start execd for `place` with the variables `given` over the fixed ones.

    Raises:
        PlaceUnavailableError: it did not come up.
        StorageFullError: for want of room.
    """
    fixed = host_environment()
    inside = {**fixed, "HOME": "/workspace" if is_sandboxed else str(place.data), **given}
    argv = sandbox_argv(place) if is_sandboxed else plain_argv(place, program)
    try:
        await anyio.to_thread.run_sync(_prepare, place, sandbox_arguments(place, program, inside))
        done = await anyio.run_process(
            ["/bin/sh", "-c", DETACH, "sh", str(place.log), str(place.arguments), *argv],
            # What the caller gave must not rule the programs of the host that build the sandbox (LD_PRELOAD).
            env=fixed if is_sandboxed else inside,
            cwd="/" if is_sandboxed else place.data,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        await anyio.to_thread.run_sync(_note, place, int(done.stdout))
    except OSError as error:
        text = f"the local workspace could not be started: {error.strerror}"
        raise (StorageFullError if is_unwritable(error) else PlaceUnavailableError)(text) from error
    except (ValueError, subprocess.CalledProcessError) as error:
        raise PlaceUnavailableError("the local workspace could not be started; see `ws-mcp doctor`") from error
    await _listening(place)


async def answers(place: LocalPlace) -> bool:
    """Whether something listens on the socket of the place."""
    try:
        await (await anyio.connect_unix(str(place.sockets / "sock"))).aclose()
    except OSError:
        return False
    return True


async def kill(place: LocalPlace) -> None:
    """End what was started for the place, whether or not it answers, and what an execd that was killed left there.

    A pid that was given to somebody else is left.
    """
    with anyio.move_on_after(GONE_S):
        while await anyio.to_thread.run_sync(_kill, place):  # noqa: ASYNC110 - the system tells nobody but its parent
            await anyio.sleep(POLL_S)


def _prepare(place: LocalPlace, arguments: list[str]) -> None:
    place.data.mkdir(mode=0o700, exist_ok=True)  # a removal that failed in the middle may have taken it
    place.sockets.mkdir(mode=0o700, exist_ok=True)
    for path in (place.log, place.arguments):
        path.unlink(missing_ok=True)
        path.touch(mode=0o600, exist_ok=False)
    place.arguments.write_bytes(b"\0".join(os.fsencode(argument) for argument in arguments) + b"\0")


async def _listening(place: LocalPlace) -> None:
    with anyio.move_on_after(START_S):
        while not await answers(place):  # noqa: ASYNC110 - another process makes the socket: no event can tell
            await anyio.sleep(POLL_S)
        return
    words = place.log.read_text(errors="replace")[-400:]
    for path, shown in ((place.sockets, "the socket's directory"), (place.home, "the workspace's directory")):
        words = words.replace(str(path), shown)
    words = one_line(words) or "no answer"
    raise PlaceUnavailableError(f"the local workspace did not start: {words}; see `ws-mcp doctor`")


def _note(place: LocalPlace, pid: int) -> None:
    try:
        place.pid.write_text(f"{pid} {_started(pid)}")
    except OSError:
        _end(pid)  # whose pid nobody can read is never ended again
        raise


def _kill(place: LocalPlace) -> bool:
    """Send KILL; whether there was somebody to send it to."""
    had_execd = _kill_execd(place)  # first, so that nothing new comes
    return kill_left(place.place) or had_execd


def _kill_execd(place: LocalPlace) -> bool:
    try:
        pid, started = place.pid.read_text().split()
    except (OSError, ValueError):
        return False
    if not _started(int(pid)) or _started(int(pid)) != started:
        return False
    _end(int(pid))
    return True


def _end(pid: int) -> None:
    # Bubblewrap waits outside for the first process of the sandbox, whose end is the end of all in it.
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _started(pid: int) -> str:
    """When the process began, in ticks since the system did; "" when there is none (or no /proc)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
