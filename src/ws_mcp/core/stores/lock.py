"""A name that is held against every server of an instance, and what becomes of who holds it when it is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import anyio

from ws_mcp.core.errors import StateError

LOST = (
    "the connection to the state database was lost in the middle of this, and with it the lock: what was begun is put "
    "right by itself; call again"
)


async def _always() -> bool:
    return True


class Lock:
    """One hold. A lock of a file cannot be lost; one of a database is, together with the connection.

    `descriptor` holds it on this machine and may be handed to a program, which then holds it there, too.
    """

    def __init__(self, name: str, descriptor: int | None) -> None:
        self.name = name
        self.descriptor = descriptor
        self.scope = anyio.CancelScope()  # of the block that holds it
        self.is_lost = False
        self.asked: Callable[[], Awaitable[bool]] = _always
        self._shields: set[anyio.CancelScope] = set()

    def lose(self) -> None:
        """Another server may hold it by now: what is done under it ends, behind shields, too."""
        self.is_lost = True
        for scope in (self.scope, *self._shields):
            scope.cancel()

    async def still_held(self) -> bool:
        """Whether it is held at this moment: who cleans up asks before each thing that must not be done twice."""
        return not self.is_lost and await self.asked() and not self.is_lost

    async def check(self) -> None:
        """As `still_held`.

        Raises:
            StateError: it is not.
        """
        if not await self.still_held():
            raise StateError(LOST)

    @contextmanager
    def shield(self, within_s: float) -> Generator[anyio.CancelScope]:
        """Finish, whoever stops waiting, within `within_s` seconds; but not any longer than the lock is held."""
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + within_s) as scope:
            self._shields.add(scope)
            if self.is_lost:
                scope.cancel()
            try:
                yield scope
            finally:
                self._shields.discard(scope)
