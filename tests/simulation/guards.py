"""Takes one guard away, to show that the simulation notices. Each says what happens without it.

A guard that is moved or renamed makes its removal fail: then it is named anew here.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio.lowlevel
import pytest

from ws_mcp.core.engine import looks
from ws_mcp.core.errors import EngineError
from ws_mcp.core.execd import client
from ws_mcp.core.known_chats import ChatRecord, KnownChats
from ws_mcp.core.processes import reach
from ws_mcp.core.processes.atlas import Atlas
from ws_mcp.core.processes.receipts import StateReceipts
from ws_mcp.core.state import State
from ws_mcp.core.stores.lock import Lock
from ws_mcp.core.workspaces import naming, objects, recovery, removal, service, watch
from ws_mcp.core.workspaces.builder import Builder
from ws_mcp.core.workspaces.ledger import EngineObject, Ledger, ObjectKind

Removal = Callable[[pytest.MonkeyPatch], None]


def signature(patch: pytest.MonkeyPatch) -> None:
    """Whoever copies our labels has what is ours."""
    patch.setattr(naming, "is_ours", _yes)


def lock_of_a_place(patch: pytest.MonkeyPatch) -> None:
    """Two servers make, swap and remove one workspace at once."""

    @asynccontextmanager
    async def unlocked(_self: State, name: str) -> AsyncGenerator[Lock]:
        await anyio.lowlevel.checkpoint()
        yield Lock(name, None)

    patch.setattr(State, "lock", unlocked)


def lock_before_a_repair(patch: pytest.MonkeyPatch) -> None:
    """A repair undoes what another server is at."""

    @asynccontextmanager
    async def unlocked(_self: State, _name: str) -> AsyncGenerator[bool]:
        await anyio.lowlevel.checkpoint()
        yield True

    patch.setattr(State, "lock_if_free", unlocked)


def intent_before_the_effect(patch: pytest.MonkeyPatch) -> None:
    """Nobody knows what a server that died had begun."""
    patch.setattr(Ledger, "begin", _nothing)


def repair(patch: pytest.MonkeyPatch) -> None:
    """Nobody finishes or undoes it."""

    async def none(_self: removal.Removal) -> int:
        await anyio.lowlevel.checkpoint()
        return 0

    patch.setattr(removal.Removal, "repair_all", none)


def old_one_is_taken_back(patch: pytest.MonkeyPatch) -> None:
    """A workspace is gone when making it anew fails."""

    def forgetful(current: Any, incoming: Any, outgoing: Any) -> recovery.Repair:
        plan = recovery.plan_repair(current, incoming, outgoing)
        kept = tuple(act for act in plan.acts if act[0] is recovery.Act.REMOVE)
        return recovery.Repair(acts=kept, is_whole=plan.is_whole)

    patch.setattr(removal, "plan_repair", forgetful)


def only_what_was_made_is_undone(patch: pytest.MonkeyPatch) -> None:
    """A provision that fails takes data with it that was there before."""
    real = objects.Objects.ensure_volume

    async def greedy(self: objects.Objects, kind: str, name: str) -> bool:
        await self._will_make(EngineObject(kind=ObjectKind.VOLUME, name=name))
        return await real(self, kind, name)

    patch.setattr(objects.Objects, "ensure_volume", greedy)


def what_a_change_leaves_is_removed(patch: pytest.MonkeyPatch) -> None:
    """Configuration and networks that no container has any more stay."""
    patch.setattr(Builder, "_forget_unused", _nothing)


def receipt_of_a_start(patch: pytest.MonkeyPatch) -> None:
    """A key that is used again starts again, where execd does not remember it."""

    async def nothing(_self: StateReceipts, _chat: str, _key: str) -> None:
        await anyio.lowlevel.checkpoint()

    async def own(_self: StateReceipts, _chat: str, _key: str, claim: object) -> object:
        await anyio.lowlevel.checkpoint()
        return claim

    patch.setattr(StateReceipts, "find", nothing)
    patch.setattr(StateReceipts, "claim", own)


def confirmation_of_a_start(patch: pytest.MonkeyPatch) -> None:
    """What ran and is forgotten runs again under its old id."""
    patch.setattr(StateReceipts, "confirm", _nothing)


def input_goes_once(patch: pytest.MonkeyPatch) -> None:
    """Input whose answer was lost is written a second time."""
    patch.setattr(reach, "_may_repeat", _yes)


def deadline_of_a_request(patch: pytest.MonkeyPatch) -> None:
    """A call waits for ever for an execd that says nothing."""
    real = client.ExecdClient.call

    async def patient(self: client.ExecdClient, *arguments: Any, **options: Any) -> object:
        return await real(self, *arguments, **{**options, "timeout_s": 1e6})

    patch.setattr(client.ExecdClient, "call", patient)


def look_from_time_to_time(patch: pytest.MonkeyPatch) -> None:
    """What no event told is never seen."""
    patch.setattr(looks, "SAFETY_S", math.inf)


def a_failed_look_removes_nothing(patch: pytest.MonkeyPatch) -> None:
    """An engine that does not answer is taken for one that has nothing."""
    real = watch.Watch.look

    async def rash(self: watch.Watch, marked: frozenset[str], is_all_old: bool) -> None:
        await real(self, marked, is_all_old)
        if self._unknown:
            self._unknown, self._known, self._workspaces = "", {}, {}

    patch.setattr(watch.Watch, "look", rash)


def a_look_before_gone_is_said(patch: pytest.MonkeyPatch) -> None:
    """A process is called lost since an event is late."""
    patch.setattr(Atlas, "_lacks", _no)
    real = Atlas.all

    async def stale(self: Atlas, *, is_fresh: bool = False) -> object:
        return await real(self)

    patch.setattr(Atlas, "all", stale)


def wall_between_chats(patch: pytest.MonkeyPatch) -> None:
    """A chat sees the workspaces of all."""

    def all_of(self: watch.Sight, _scope: object) -> tuple[object, ...]:
        return tuple(each for found in self.workspaces.values() for each in found)

    patch.setattr(watch.Sight, "of", all_of)


def wall_between_principals(patch: pytest.MonkeyPatch) -> None:
    """Whoever has a handle has the chat."""
    real = KnownChats.find

    async def anybodys(self: KnownChats, chat: str, principal: str) -> ChatRecord | None:
        owners = await self._state.run(lambda db: db.execute("SELECT principal FROM chats WHERE chat = ?", (chat,)))
        row = owners.fetchone()
        return await real(self, chat, row[0] if row else principal)

    patch.setattr(KnownChats, "find", anybodys)


def _yes(*_arguments: object) -> bool:
    return True


def _no(*_arguments: object) -> bool:
    return False


async def _nothing(*_arguments: object) -> None:
    await anyio.lowlevel.checkpoint()


def engine_error_is_no_answer(patch: pytest.MonkeyPatch) -> None:
    """A container that cannot be looked at is taken for one that is not there."""
    real = service.Looking.container

    async def rash(self: service.Looking, name: str) -> object:
        try:
            return await real(self, name)
        except EngineError:
            return None

    patch.setattr(service.Looking, "container", rash)


# With the seed that noticed when this was written.
GUARDS: tuple[tuple[Removal, int], ...] = (
    (signature, 0),
    (look_from_time_to_time, 0),
    (a_failed_look_removes_nothing, 2),
    (repair, 1),
    (what_a_change_leaves_is_removed, 0),
    (wall_between_chats, 0),
    (wall_between_principals, 0),
)
# Not noticed, or not within a few seeds: another guard stands behind them, or they meet too seldom.
UNNOTICED: tuple[Removal, ...] = (
    lock_of_a_place,
    lock_before_a_repair,
    input_goes_once,
    deadline_of_a_request,
    confirmation_of_a_start,
    intent_before_the_effect,
    receipt_of_a_start,
    a_look_before_gone_is_said,
    engine_error_is_no_answer,
    old_one_is_taken_back,
    only_what_was_made_is_undone,
)
