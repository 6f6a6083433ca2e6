"""Files of this machine that a recreate needs: the checked copy of a definition, and where paths of labels lead."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from pathlib import Path, PurePath

import anyio
import anyio.to_thread

from ws_mcp.core.devcontainers.cli_call import lock_of
from ws_mcp.core.devcontainers.inputs import TEXT_BYTES
from ws_mcp.core.errors import StateError
from ws_mcp.core.host.opening import FILE

NAME = "devcontainer.json"  # the CLI takes no other


@asynccontextmanager
async def private_copy(text: str) -> AsyncGenerator[Path]:
    """A file with this text in a directory of ours alone, for as long as the block lasts.

    Raises:
        StateError: it cannot be written.
    """
    try:
        directory = await anyio.to_thread.run_sync(_written, text)
    except OSError as error:
        raise StateError(
            f"the checked copy of a definition cannot be written ({error.strerror}); see that the temporary directory "
            "is writable and has space"
        ) from error
    try:
        yield Path(directory.name) / NAME
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(directory.cleanup)


@asynccontextmanager
async def private_program(text: str) -> AsyncGenerator[Path | None]:
    """A program of ours alone, for as long as the block lasts; None where temporary files cannot be run.

    Raises:
        StateError: it cannot be written.
    """
    async with private_copy(text) as path:
        yield path if await anyio.to_thread.run_sync(_made_runnable, path) else None


async def copy_beside(lock: PurePath, copy: Path) -> None:
    """Have the lock file of a definition beside its copy, too; one that cannot be read is made anew there."""
    with contextlib.suppress(OSError):
        await anyio.to_thread.run_sync(_copied, Path(lock), Path(lock_of(str(copy))))


def _written(text: str) -> tempfile.TemporaryDirectory[str]:
    directory = tempfile.TemporaryDirectory(prefix="ws-mcp-", ignore_cleanup_errors=True)
    try:
        (Path(directory.name) / NAME).write_text(text)
    except BaseException:
        directory.cleanup()
        raise
    return directory


def _copied(source: Path, target: Path) -> None:
    handle = os.open(source, FILE)
    with os.fdopen(handle, "rb") as file:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            target.write_bytes(file.read(TEXT_BYTES))


def _made_runnable(path: Path) -> bool:
    path.chmod(0o700)
    return os.access(path, os.X_OK)  # says no on a file system that is mounted noexec


def real_paths(paths: Collection[str]) -> dict[str, str]:
    """Where absolute paths really lead, of those that lead elsewhere than they say. Blocking."""
    found: dict[str, str] = {}
    for path in paths:
        try:
            real = os.path.realpath(path) if path.startswith("/") else path
        except (OSError, ValueError):
            continue  # a label may say anything
        if real != path:
            found[path] = real
    return found
