"""Makes a dev container, makes it anew without loss, or starts it: the build first, the old container until it is done.

One folder is in one hand, over all servers of this instance.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import anyio

from ws_mcp.core.devcontainers.aside import OldContainer, drop_left, unfreeze
from ws_mcp.core.devcontainers.building import Building
from ws_mcp.core.devcontainers.definition import composed_in
from ws_mcp.core.devcontainers.ground import Ground, lock_of
from ws_mcp.core.devcontainers.kept import Kept
from ws_mcp.core.devcontainers.lifecycle import Act, check_allowed
from ws_mcp.core.devcontainers.model import DevContainer, Key, Kind, RecreateAsk, Recreated, Status
from ws_mcp.core.devcontainers.moorings import Moorings
from ws_mcp.core.devcontainers.picked import check_picked, picked_of, picked_of_project
from ws_mcp.core.devcontainers.policy import checked_copy
from ws_mcp.core.devcontainers.port import CliCall, CliResult, Definition, Fingerprint, Verb
from ws_mcp.core.devcontainers.recreate_plan import (
    Change,
    Plan,
    mounts_of,
    plan_recreate,
    runs_of,
    with_execd,
)
from ws_mcp.core.devcontainers.relay import Relay
from ws_mcp.core.devcontainers.requirements import unmet_requirements
from ws_mcp.core.devcontainers.sightings import SERVICE
from ws_mcp.core.devcontainers.swap import Swap
from ws_mcp.core.engine.model import Container
from ws_mcp.core.engine.port import Report
from ws_mcp.core.errors import ConflictError
from ws_mcp.core.stores.lock import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One recreate, decided: from `definition` as it was read, with the inputs from just before.

    `moored`: how its paths were before they were checked.
    """

    key: Key
    found: DevContainer
    plan: Plan
    definition: Definition
    moored: Moorings
    before: Fingerprint
    ask: RecreateAsk
    lock: Lock  # by which its folder is held


class Recreates:
    """Makes dev containers be as their definitions say."""

    def __init__(self, ground: Ground, kept: Kept) -> None:
        self._ground = ground
        self._kept = kept

    async def recreate(self, key: Key, ask: RecreateAsk, report: Report, *, only_starts: bool = False) -> Recreated:
        """Do it, or with `is_dry_run` say what would be done.

        Raises:
            DefinitionMissingError, UnreadableDefinitionError, ForbiddenError, CliMissingError, EngineError
            DevContainerFailedError: with the last lines; says what became of the old container.
        """
        began = anyio.current_time()
        relay = Relay(report)
        if not ask.is_dry_run:
            await relay.say("waiting for its folder")
        async with nullcontext(Lock("", None)) if ask.is_dry_run else self._ground.locks.lock(lock_of(key)) as lock:
            with nullcontext() if ask.is_dry_run else self._kept.holding(key):
                task = await self._decide(key, ask, lock, only_starts=only_starts)
                done = await self._decided(task, relay)
                if not ask.is_dry_run:
                    await drop_left(self._ground, self._kept, key)
        warnings = (*done.warnings, *await self._ground.hints(key.folder))
        return replace(done, warnings=warnings, duration_s=anyio.current_time() - began)

    async def _decided(self, task: Task, relay: Relay) -> Recreated:
        if task.plan.change is Change.NOTHING:
            return _answer(task, task.found)
        unmet = unmet_requirements(task.definition.properties, await self._ground.engine.info())
        if task.ask.is_dry_run:
            return replace(_answer(task, task.found, unmet), runs=runs_of(task.plan, task.definition))
        with self._kept.acting(task.key, Status.STARTING), self._kept.logs.run(task.key) as relay.write:
            result = await self._do(task, relay)
        done = _answer(task, await self._kept.at(task.key), (*result.warnings, *unmet))
        return replace(done, hooks=result.hooks)

    async def _decide(self, key: Key, ask: RecreateAsk, lock: Lock, *, only_starts: bool) -> Task:
        # The inputs before the text: an edit in between shows as out of date afterwards, and is not missed.
        before = await self._ground.definitions.fingerprint(key)
        definition = await self._ground.definitions.read(key)
        found = await self._kept.at(key)
        check_allowed(Act.START if only_starts else Act.RECREATE, found.status, found.name)
        moored = await self._ground.moored(definition)
        await self._ground.policing.check_definition(found.name, definition)
        plan = Plan(change=Change.START) if only_starts else plan_recreate(found, ask)
        if plan.change is not Change.NOTHING:
            check_picked(found, await self._picked(found, definition))
        return Task(
            key=key, found=found, plan=plan, definition=definition, moored=moored, before=before, ask=ask, lock=lock
        )

    async def _picked(self, found: DevContainer, definition: Definition) -> Container | None:
        """The container that the CLI would work on."""
        if definition.kind is not Kind.COMPOSE:
            return picked_of(found, self._kept.view.containers)
        of_service = await self._ground.engine.list_containers({SERVICE: str(definition.properties.get("service"))})
        return picked_of_project(found, composed_in(definition), of_service)

    async def _do(self, task: Task, relay: Relay) -> CliResult:
        await self._ground.cli.version()
        volume = "" if task.plan.change is Change.START else await self._ground.volume()
        async with self._ground.copies(checked_copy(with_execd(task.definition, volume))) as copy:
            mounts = mounts_of(task.definition, volume)
            call = CliCall(
                verb=Verb.UP,
                key=task.key,
                content=copy,
                no_cache=task.ask.no_cache,
                mounts=mounts,
                lock=task.lock.descriptor,
            )
            await relay.say("reading the configuration")
            merged = await self._ground.cli.configuration(task.key, copy)
            images = task.before.images
            await self._ground.policing.check_merged(task.found.name, task.definition, merged, images)
            composed, found = composed_in(task.definition), task.found
            swap = Swap(self._ground, self._kept, task.key, found, task.lock, composed=composed)
            if task.plan.change is Change.START:
                return await swap.start(replace(call, is_expecting=True, no_cache=False), relay)
            if task.plan.change is Change.RECREATE:
                building = Building(
                    ground=self._ground, name=task.found.name, definition=task.definition, moored=task.moored
                )
                await building.run(replace(call, verb=Verb.BUILD, mounts=()), relay)
                # All is built: what is built anew now would be built after the old container is gone.
                call = replace(call, removes_existing=True, no_cache=False)
                await unfreeze(self._ground.engine, task.found)
                old = await self._old(task)
                if old is not None:
                    call = replace(call, aside=old.aside)
                    return await old.replaced(partial(swap.up, call, task.before, relay))
            return await swap.up(call, task.before, relay)

    async def _old(self, task: Task) -> OldContainer | None:
        """What can be kept until the new one runs: compose would take one with its labels for its own."""
        if task.definition.kind is Kind.COMPOSE or task.found.container is None or task.found.project:
            return None
        found = await self._ground.engine.inspect(task.found.container)
        return OldContainer(self._ground, self._kept, task.key, found, task.lock)


@asynccontextmanager
async def folder_if_free(ground: Ground, kept: Kept, key: Key, name: str) -> AsyncGenerator[None]:
    """Hold the folder for something short.

    Raises:
        ConflictError: another server is at it.
    """
    async with ground.locks.lock_if_free(lock_of(key)) as is_held:
        if not is_held:
            raise ConflictError(
                f"another ws-mcp, or a dev container CLI that outlived one, is at the folder of dev container {name!r} "
                "now: wait for its end, then call again"
            )
        with kept.holding(key):
            yield


def _answer(task: Task, devcontainer: DevContainer, warnings: tuple[str, ...] = ()) -> Recreated:
    old = task.found.container if task.plan.change is Change.RECREATE else None
    return Recreated(
        devcontainer=devcontainer,
        change=task.plan.change.value,
        old_container=old,
        reasons=task.plan.reasons,
        warnings=tuple(dict.fromkeys((*warnings, *devcontainer.warnings))),
    )
