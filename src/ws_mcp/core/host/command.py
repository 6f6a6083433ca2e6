"""A program of this machine, run to its end: its output by lines while it runs, and nobody left when it is given up.

It runs in a session of its own, so that all that it starts is one group. Who stops waiting (a cancelled scope, a
deadline) has ended that group before the cancellation goes on. Of a program that ended by itself whoever it left behind
is left alone: that may be its purpose. It writes to files: a server that is killed takes nothing with it that was half
done.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.lowlevel
from anyio.abc import Process

from ws_mcp.core.errors import StartError, StateError
from ws_mcp.core.host.spool import Spool, open_spool

MAX_LINE_BYTES = 4 << 20  # of one line; an event of the dev container CLI holds all the metadata of an image
MAX_STDOUT_BYTES = 16 << 20  # the end is kept: an answer stands there
TERM_S = 2.0  # what a group is given between TERM and KILL: a build is taken back in less than one
KILL_S = 2.0  # after that somebody waits for a device: nothing helps
POLL_S = 0.03
MAX_OUTPUT_BYTES = 256 << 20  # on disk; a long build with its hooks writes less than a tenth of that

# What a program needs to find the engine, the network and its own files. Nothing else of ours is passed on: the
# environment of a server has its secrets, and what is started may pass its own on to a container.
ALLOWED = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSH_AUTH_SOCK"}
    | {f"DOCKER_{name}" for name in ("HOST", "CONTEXT", "CONFIG", "TLS", "TLS_VERIFY", "CERT_PATH", "API_VERSION")}
    | {f"DOCKER_{name}" for name in ("BUILDKIT", "DEFAULT_PLATFORM")}
    | {"CONTAINER_HOST", "CONTAINERS_CONF", "CONTAINERS_REGISTRIES_CONF", "CONTAINERS_STORAGE_CONF", "BUILDX_CONFIG"}
    | {"NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    | {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"}
    | {"http_proxy", "https_proxy", "no_proxy", "all_proxy"}
)
ALLOWED_PREFIXES = ("XDG_", "LC_")


def allowed_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of `environment` a program of this machine is given."""
    return {n: v for n, v in environment.items() if n in ALLOWED or n.startswith(ALLOWED_PREFIXES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a program ended: its exit code, or minus the number of the signal that ended it; and the end of stdout.

    `is_flood`: it was ended since it wrote more than anybody would read.
    """

    code: int
    stdout: bytes
    is_flood: bool = False


class Lines:
    """Bytes cut into lines, without their ends. Of a line that is too long the first part is kept."""

    def __init__(self, hear: Callable[[bytes], None], limit_bytes: int = MAX_LINE_BYTES) -> None:
        self._hear = hear
        self._limit = limit_bytes
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        """Hear the lines that `chunk` ends."""
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            self._keep(part)
            self._say()
        self._keep(rest)

    def end(self) -> None:
        """Hear a last line that has no end."""
        if self._size:
            self._say()

    def _keep(self, part: bytes) -> None:
        kept = part[: self._limit - self._size]
        if kept:
            self._parts.append(kept)
            self._size += len(kept)

    def _say(self) -> None:
        line = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        self._hear(line)


async def run_command(
    argv: tuple[str, ...],
    *,
    environment: Mapping[str, str],
    hear: Callable[[bytes], None],
    cwd: Path | None = None,
    term_s: float = TERM_S,
    keeps: tuple[int, ...] = (),
) -> Finished:
    """Run `argv` and wait for it; `hear` is given each line of stderr soon and must not wait.

    `keeps`: descriptors that it has, too: of a lock, which is held for as long as it runs, also without us.

    Raises:
        StartError: it could not be started.
        StateError: there is no place for what it writes.
    """
    with ExitStack() as spools:
        try:
            stdout, stderr = spools.enter_context(open_spool()), spools.enter_context(open_spool())
        except OSError as error:
            raise StateError(
                f"the output of a program cannot be written ({error.strerror}); see that the temporary directory "
                "is writable and has space"
            ) from error
        process = await _start(argv, environment, cwd or Path("/"), (stdout, stderr), keeps)
        try:
            is_flood = await _heard(process, stdout, stderr, Lines(hear))
            if is_flood:
                await _end_group(process, term_s)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await _end_group(process, term_s)
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await process.aclose()
        return Finished(code=await process.wait(), stdout=stdout.end(MAX_STDOUT_BYTES), is_flood=is_flood)


async def _start(
    argv: tuple[str, ...],
    environment: Mapping[str, str],
    cwd: Path,
    spools: tuple[Spool, Spool],
    keeps: tuple[int, ...],
) -> Process:
    try:
        return await anyio.open_process(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=spools[0].file,
            stderr=spools[1].file,
            env=dict(environment),
            cwd=cwd,
            start_new_session=True,
            pass_fds=keeps,
        )
    except OSError as error:
        raise StartError(f"{Path(argv[0]).name} could not be started: {error.strerror}") from error


async def _heard(process: Process, stdout: Spool, stderr: Spool, lines: Lines) -> bool:
    """Hear it to its end; whether that is not to be waited for, since it writes too much."""
    is_flood = False

    async def hear() -> None:
        nonlocal is_flood
        while not is_flood:
            while block := stderr.read():
                lines.feed(block)
                await anyio.lowlevel.checkpoint()
            is_flood = stdout.size_bytes + stderr.size_bytes > MAX_OUTPUT_BYTES
            await anyio.sleep(POLL_S)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hear)
        await process.wait()
        tasks.cancel_scope.cancel()
    while not is_flood and (block := stderr.read()):
        lines.feed(block)
    lines.end()
    return is_flood


async def _end_group(process: Process, term_s: float) -> None:
    """TERM for all of them, KILL for who does not heed that; back when the program is reaped and nobody is left."""
    for sign, patience_s in ((signal.SIGTERM, term_s), (signal.SIGKILL, KILL_S)):
        _send(process.pid, sign)
        with anyio.move_on_after(patience_s):
            await process.wait()
            while _send(process.pid, 0) and _lives(process.pid):  # noqa: ASYNC110 - a grandchild's end is not told
                await anyio.sleep(POLL_S)
            return


def _send(group: int, sign: int) -> bool:
    """Whether there is somebody in the group (who may be signalled)."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, sign)
        return True
    return False


def _lives(group: int) -> bool:
    """Whether one of the group is more than a zombie: where the first process of the system reaps late, or nobody."""
    there = list(Path("/proc").glob("[0-9]*/stat"))
    return not there or any(_is_of(stat, group) for stat in there)


def _is_of(stat: Path, group: int) -> bool:
    # Source: proc(5). After the name, which may hold anything: the state, the parent, the group.
    with suppress(OSError):
        state, _, of_group = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
        return int(of_group) == group and state not in "ZX"
    return False
