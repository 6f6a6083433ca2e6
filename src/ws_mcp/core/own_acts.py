"""What a server does by itself to what belongs to somebody."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
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


def _nowhere(_act: OwnAct) -> AbstractAsyncContextManager[None]:
    return nullcontext()


class OwnActs:
    """Nothing is to be done before `begin`: servers say there where it is written down; who only looks never begins."""

    def __init__(self) -> None:
        self._begun = anyio.Event()
        self._written: Written = _nowhere

    def begin(self, written: Written) -> None:
        """From now on."""
        self._written = written
        self._begun.set()

    async def begun(self) -> None:
        """Return once something may be done."""
        await self._begun.wait()

    def act(self, act: OwnAct) -> AbstractAsyncContextManager[None]:
        """See `Written`."""
        return self._written(act)
