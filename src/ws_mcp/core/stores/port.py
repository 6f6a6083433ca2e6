"""What a store of the state is, in our own words: SQL for both, names that are held, and news for the other servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from ws_mcp.core.database import Instance
from ws_mcp.core.stores.lock import Lock

T = TypeVar("T")

Hear = Callable[[str | None], None]
"""Told what another server said; None: something may have been missed, so look at everything again."""
Tell = Callable[[Sequence[str]], Awaitable[None]]
"""Says something to the other servers, each text of at most `MAX_TEXT` bytes. One that hears nothing loses nothing but
time: who listens looks by itself, too."""

MAX_TEXT = 4000


class Rows(Protocol):
    """What a statement found. A row is what the statement selects, so nobody can say more of its types here."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> Any:  # noqa: ANN401 - see above
        """The next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """All that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Sql(Protocol):
    """One transaction. The SQL is what SQLite and PostgreSQL have in common, with `?` for each value."""

    def execute(self, statement: str, values: Sequence[object] = ()) -> Rows:
        """Do one statement. The first that writes begins as `begin` does; what was read before may be old by then."""
        ...

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Do one statement with each row of values."""
        ...

    def begin(self) -> None:
        """From now on no other server writes until this transaction has ended, and what is read is true until then."""
        ...


class Store(Protocol):
    """A store that is open.

    Raises:
        StateError: from every call; it says what to do.
    """

    is_shared: bool  # by servers of several machines
    damage: str  # what is wrong with what is kept, and what to do; "" as far as is known
    instance: Instance

    async def run(self, work: Callable[[Sql], T]) -> T:
        """Do `work` in one transaction, in a thread. It is done again if it is certain that nothing of it was kept."""
        ...

    def lock(self, name: str) -> AbstractAsyncContextManager[Lock]:
        """Hold `name` against every server of this instance."""
        ...

    def lock_if_free(self, name: str) -> AbstractAsyncContextManager[bool]:
        """Hold `name` if nobody does; says whether it is held now."""
        ...

    def presence(self, name: str) -> AbstractAsyncContextManager[None]:
        """Be there under a name that nobody had before; unlike a lock it comes back after a lost connection."""
        ...

    async def is_present(self, name: str) -> bool:
        """Whether somebody is there under that name."""
        ...

    async def aclose(self) -> None:
        """Close it: whatever it holds is free."""
        ...

    def open_bus(self, hear: Hear) -> AbstractAsyncContextManager[Tell]:
        """Hear what the other servers of this instance say, but not this one, as long as the block runs."""
        ...
