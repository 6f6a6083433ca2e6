"""What a server does by itself to what belongs to somebody."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import anyio

from ws_mcp.core.ids import Scope, WorkspaceName


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAct:
    """`verb` is done to a workspace of `owner`, since `rule`, a setting of the operator, asks for it."""

    owner: Scope
    verb: str
    workspace: WorkspaceName
    rule: str


Written = Callable[[OwnAct], AbstractAsyncContextManager[None]]
"""The time in which an act has its effect, written down before and after.

Raises:
    StateError: it cannot be written down; then it is not to be done.
"""


class OwnActs:
    """Nothing is to be done before `begin`: servers say there where it is written down; who only looks never begins."""

    def __init__(self) -> None:
        self._begun = anyio.Event()
        self._written: Written | None = None

    def begin(self, written: Written | None) -> None:
        """From now on. None: it is written down nowhere, as what callers do."""
        self._written = written
        self._begun.set()

    async def begun(self) -> None:
        """Return once something may be done."""
        await self._begun.wait()

    @asynccontextmanager
    async def act(self, act: OwnAct) -> AsyncGenerator[None]:
        """See `Written`."""
        if self._written is None:
            yield
            return
        async with self._written(act):
            yield
