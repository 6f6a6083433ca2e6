"""Takes guards of workspaces away, one at a time. Each says what happens without it.

A guard that is moved or renamed makes its removal fail: then it is named anew here.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import anyio.lowlevel
import pytest

from ws_mcp.core import closing, jobs
from ws_mcp.core.engine import looks
from ws_mcp.core.errors import EngineError
from ws_mcp.core.job_acts import ACTS, Act, Found
from ws_mcp.core.state import State
from ws_mcp.core.stores.lock import Lock
from ws_mcp.core.workspaces import (
    idle,
    naming,
    objects,
    recovery,
    registry,
    removal,
    service,
    sweep_plan,
    sweeper,
    tiers,
    watch,
)
from ws_mcp.core.workspaces.builder import Builder
from ws_mcp.core.workspaces.ledger import EngineObject, Ledger, ObjectKind
from ws_mcp.core.workspaces.rules import WorkspaceRules


def signature(patch: pytest.MonkeyPatch) -> None:
    """Whoever copies our labels has what is ours."""
    patch.setattr(naming, "is_ours", _yes)


def signature_of_a_volume(patch: pytest.MonkeyPatch) -> None:
    """A volume that somebody else has under our name is mounted, and removed with the workspace."""
    patch.setattr(objects, "_is_ours", _yes)


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


def grace_and_lock_before_a_sweep(patch: pytest.MonkeyPatch) -> None:
    """A sweep takes away through what another server reads. Either of the two is enough here."""
    patch.setattr(sweeper, "GRACE_S", 0.0)
    lock_before_a_repair(patch)


def intent_before_the_effect(patch: pytest.MonkeyPatch) -> None:
    """Nobody knows what a server that died had begun."""
    patch.setattr(Ledger, "begin", _nothing)


def intent_of_a_removal(patch: pytest.MonkeyPatch) -> None:
    """Data stays that nothing lists, when a server dies after it removed the container."""
    real = Ledger.begin

    async def of_others(self: Ledger, intent: Any) -> None:
        if intent.kind is not removal.IntentKind.REMOVE:
            await real(self, intent)

    patch.setattr(Ledger, "begin", of_others)


def a_refused_removal_is_over(patch: pytest.MonkeyPatch) -> None:
    """What could not be removed is removed later, when its caller was told that it is there."""

    async def stubborn(self: removal.Removal, _place: object, found: Any) -> None:
        if found is not None:
            await self._engine.remove(found.id)

    patch.setattr(removal.Removal, "_remove_container", stubborn)


def repair(patch: pytest.MonkeyPatch) -> None:
    """Nobody finishes or undoes it."""

    async def none(_self: removal.Removal) -> int:
        await anyio.lowlevel.checkpoint()
        return 0

    patch.setattr(removal.Removal, "repair_all", none)


def undoing_before_the_end(patch: pytest.MonkeyPatch) -> None:
    """A server that is told to end leaves the half of what it was at."""
    patch.setattr(Builder, "_roll_back", _nothing)


def old_one_is_taken_back(patch: pytest.MonkeyPatch) -> None:
    """A workspace is gone when making it anew fails."""

    def forgetful(current: Any, incoming: Any, outgoing: Any) -> recovery.Repair:
        plan = recovery.plan_repair(current, incoming, outgoing)
        kept = tuple(act for act in plan.acts if act[0] is recovery.Act.REMOVE)
        return recovery.Repair(acts=kept, is_whole=plan.is_whole)

    patch.setattr(removal, "plan_repair", forgetful)


def whole_ones_keep_their_secrets(patch: pytest.MonkeyPatch) -> None:
    """A workspace that was taken back starts without its secrets the next time."""

    def never_whole(current: Any, incoming: Any, outgoing: Any) -> recovery.Repair:
        return replace(recovery.plan_repair(current, incoming, outgoing), is_whole=False)

    patch.setattr(removal, "plan_repair", never_whole)


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


def engine_error_is_no_answer(patch: pytest.MonkeyPatch) -> None:
    """A container that cannot be looked at is taken for one that is not there."""
    real = service.Looking.container

    async def rash(self: service.Looking, name: str) -> object:
        try:
            return await real(self, name)
        except EngineError:
            return None

    patch.setattr(service.Looking, "container", rash)


def a_list_that_fails_ends_the_sweep(patch: pytest.MonkeyPatch) -> None:
    """Of an engine that lists no containers everything is nobody's."""
    real = sweeper.Sweeper._look

    async def rash(self: sweeper.Sweeper) -> sweep_plan.Seen:
        listing = self._engine.list_containers

        async def lenient(labels: Any) -> tuple[Any, ...]:
            try:
                return await listing(labels)
            except EngineError:
                return ()

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self._engine, "list_containers", lenient)
            return await real(self)

    patch.setattr(sweeper.Sweeper, "_look", rash)


def nothing_follows_from_no_chats(patch: pytest.MonkeyPatch) -> None:
    """A state directory that lost its chats loses all workspaces, too."""
    real = sweep_plan._why_not

    def rash(seen: sweep_plan.Seen, container: Any) -> str:
        return real(seen, container) if seen.chats else sweep_plan.UNKNOWN_CHAT

    patch.setattr(sweep_plan, "_why_not", rash)


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


def who_changes_something_looks(patch: pytest.MonkeyPatch) -> None:
    """Who was told that a workspace was made does not find it in the list."""
    patch.setattr(registry.Workspaces, "look_again", _done)


def nothing_is_closed_unseen(patch: pytest.MonkeyPatch) -> None:
    """A chat is forgotten whose containers nobody could see: they are swept away, or stay for ever."""

    async def rash(self: closing.Closer, scope: Any, _how: Any) -> closing.Closed:
        listing = await self._workspaces.list(scope)
        tally = closing._Tally()
        for workspace in () if listing.unknown else listing.workspaces:
            await self._one(scope, workspace.name, closing.Closing.DELETE, tally)
        return closing.Closed(is_forgotten=await self._chats.forget(scope))

    patch.setattr(closing.Closer, "close", rash)


def request_key_of_a_provision(patch: pytest.MonkeyPatch) -> None:
    """A call that is repeated by mistake for another wish makes a workspace anew, and ends what runs in it."""
    patch.setattr(Ledger, "claim_request", _nothing)


def only_equal_calls_share_a_job(patch: pytest.MonkeyPatch) -> None:
    """Who asks for something else is told that it was done."""
    patch.setitem(jobs.ACTS, (Found.RUNNING, False), ACTS[Found.RUNNING, True])
    assert ACTS[Found.RUNNING, False] is Act.JOIN


def number_of_workspaces(patch: pytest.MonkeyPatch) -> None:
    """A chat has as many as it likes."""
    patch.setattr(service.ContainerWorkspaces, "_check_count", _nothing)


def grant_of_a_tier(patch: pytest.MonkeyPatch) -> None:
    """Whoever asks for it is root on the host."""

    def any_tier(_self: WorkspaceRules, number: int) -> tiers.Tier:
        return tiers.tier(number)

    patch.setattr(WorkspaceRules, "level", any_tier)


def what_runs_is_not_idle(patch: pytest.MonkeyPatch) -> None:
    """A workspace is stopped as idle while a process runs in it."""
    real = idle.idle_of

    def blind(before: Any, activity: Any, **others: Any) -> object:
        return real(before, replace(activity, running=0) if activity is not None else None, **others)

    patch.setattr(idle, "idle_of", blind)


def a_moment_that_can_be(patch: pytest.MonkeyPatch) -> None:
    """A workspace whose execd's clock is ahead is never stopped as idle."""
    real = idle.idle_of

    def credulous(before: Any, activity: Any, *, is_busy: bool, now: float, wall: datetime) -> Any:
        found = real(before, activity, is_busy=is_busy, now=now, wall=wall)
        if found is None or activity.last_at is None:
            return found
        return replace(found, since=max(found.since, now - max(0.0, (wall - activity.last_at).total_seconds())))

    patch.setattr(idle, "idle_of", credulous)


def wall_between_chats(patch: pytest.MonkeyPatch) -> None:
    """A chat sees the workspaces of all."""

    def all_of(self: watch.Sight, _scope: object) -> tuple[object, ...]:
        return tuple(each for found in self.workspaces.values() for each in found)

    patch.setattr(watch.Sight, "of", all_of)


def _yes(*_arguments: object) -> bool:
    return True


def _done(*_arguments: object) -> None: ...


async def _nothing(*_arguments: object) -> None:
    await anyio.lowlevel.checkpoint()
