"""One seed, one run: scheduling, names, worker threads and time are all made from it.

What is a worker thread elsewhere runs at once here: SQLite and the files are real, and as fast as they are. Whose call
it is says `SERVER`, which every task inherits from the one that began it.
"""

from __future__ import annotations

import base64
import gc
import random
import secrets
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import anyio.to_thread
import pytest
import trio
import trio.testing
from simulation.stores import Buses

from ws_mcp.core.stores.port import Hear, Tell
from ws_mcp.core.stores.sqlite import SqliteStore

T = TypeVar("T")


class CrashError(BaseException):
    """The server is gone: nothing of it runs any more, no clean-up either."""


def first_of(error: BaseException) -> BaseException:
    """What went wrong first, out of the groups that task groups wrap it in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Doorkeeper(Protocol):
    """A server, as far as its doors are concerned."""

    def check_alive(self) -> None:
        """Raise `CrashError` if it is dead."""
        ...

    def before_state(self) -> None:
        """A transaction is about to run."""
        ...

    def after_state(self) -> None:
        """A transaction was committed."""
        ...


SERVER: ContextVar[Doorkeeper | None] = ContextVar("SERVER", default=None)


def run_seeded(seed: int, main: Callable[[random.Random], Awaitable[T]]) -> T:
    """Run `main` on trio with a virtual clock; the same seed gives the same run in every process."""
    with _seeded(seed):
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(main, random.Random(seed), clock=clock)


@contextmanager
def _seeded(seed: int) -> Generator[None]:
    names = random.Random(f"names {seed}")

    def token_hex(size: int) -> str:
        return names.randbytes(size).hex()

    def token_urlsafe(size: int) -> str:
        return base64.urlsafe_b64encode(names.randbytes(size)).decode()

    buses = Buses()

    def open_bus(store: SqliteStore, hear: Hear) -> AbstractAsyncContextManager[Tell]:
        return buses.open_bus(store, hear)

    was_collecting = gc.isenabled()
    gc.disable()  # a collection would finish generators at another moment in each process
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
        patch.setattr(trio._core._run, "_r", random.Random(f"order {seed}"))
        patch.setattr(secrets, "token_bytes", names.randbytes)
        patch.setattr(secrets, "token_hex", token_hex)
        patch.setattr(secrets, "token_urlsafe", token_urlsafe)
        patch.setattr(secrets, "randbelow", names.randrange)
        patch.setattr(anyio.to_thread, "run_sync", _at_once)
        patch.setattr(SqliteStore, "open_bus", open_bus)
        try:
            yield
        finally:
            if was_collecting:
                gc.enable()


async def _at_once(work: Callable[..., T], *arguments: Any, **_options: Any) -> T:
    await anyio.lowlevel.checkpoint()
    server = SERVER.get()
    if (
        server is None or getattr(work, "__name__", "") == "close"
    ):  # of the database: the kernel does that for the dead, too
        return work(*arguments)
    server.check_alive()
    is_transaction = getattr(work, "__qualname__", "") == "SqliteStore.run.<locals>.locked"
    if is_transaction:
        server.before_state()
    result = work(*arguments)
    if is_transaction:
        server.after_state()
    await trio.lowlevel.cancel_shielded_checkpoint()
    server.check_alive()
    return result
