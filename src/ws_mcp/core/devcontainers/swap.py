"""The run of `up` that makes a container or starts one, and what is kept of it, also when it is cut short.

Until the new container is recorded the key carries a mark: a server that dies in between leaves a container that is
known to be incomplete, not one that seems to be well.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import anyio

from ws_mcp.core.devcontainers.aside import unfreeze
from ws_mcp.core.devcontainers.baseline import baseline
from ws_mcp.core.devcontainers.deferral import Deferral
from ws_mcp.core.devcontainers.ground import Ground
from ws_mcp.core.devcontainers.kept import Kept
from ws_mcp.core.devcontainers.listing import CUT_SHORT
from ws_mcp.core.devcontainers.model import DevContainer, Key, Phase, Record
from ws_mcp.core.devcontainers.port import CliCall, CliProgress, CliResult, Fingerprint, Outcome, Tell
from ws_mcp.core.devcontainers.relay import Relay
from ws_mcp.core.devcontainers.remains import Remains
from ws_mcp.core.devcontainers.watchdog import Watchdog
from ws_mcp.core.engine.model import Container, ContainerState
from ws_mcp.core.errors import EngineNotFoundError, ForbiddenError, WsError
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.stores.lock import Lock

log = logging.getLogger(__name__)

CLEAN_UP_S = 10.0
FINISH_S = 10.0  # from the removal of the old container to the start of the new one: all is built, so it takes 1 to 4 s
COMPOSE_KEEPS = ", which compose cannot keep beside it: its volumes and the other services of the project are there"
# In these the old container may be gone and the new one not there yet. The removal itself says nothing.
RISKY = frozenset({Phase.RESOLVE, Phase.BUILD, Phase.CREATE})


class DevContainerFailedError(WsError):
    """A dev container could not be made or started; the message ends with the last lines of what was said."""

    def __init__(self, name: str, result: CliResult, old: str) -> None:
        tail = "".join(f"\n{line}" for line in result.tail)
        reason = result.reason or "the dev container CLI failed without a reason"
        super().__init__(f"dev container {name!r} failed: {reason} ({old}){tail}")


class Swap:
    """One `up` of one dev container, whose folder is held by `lock`. `composed`: where its compose project is."""

    def __init__(
        self, ground: Ground, kept: Kept, key: Key, found: DevContainer, lock: Lock, *, composed: str = ""
    ) -> None:
        self._lock = lock
        self._ground = ground
        self._kept = kept
        self._key = key
        self._found = found
        self._before = {c.id for c in kept.containers_of(key)}
        self._at_build: Fingerprint | None = None
        self._keeps_old = False
        self._composed = composed
        self._remains = Remains(ground, kept, key, found.name, composed)

    async def up(self, call: CliCall, before: Fingerprint, relay: Relay) -> CliResult:
        """Make it, in place of the old one if there is one.

        Raises:
            DevContainerFailedError: there is no container that runs.
            ForbiddenError: what was made is more than the operator allows; it was removed.
        """
        self._keeps_old = call.aside is not None
        await self._remains.note()
        await self._ground.records.set_error(self._key, CUT_SHORT)
        try:
            result = await self._run(call, relay, self._before)
            await self._kept.at(self._key)
            made = await self._made(result)
            await self._remains.check(made)
            if made is None:
                failure = DevContainerFailedError(self._found.name, result, self._left())
                await self._ground.records.set_error(self._key, str(failure))
                raise failure
            await self._record(made, result, await self._parts(before))
        except anyio.get_cancelled_exc_class():
            with self._lock.shield(CLEAN_UP_S):
                await self._cut_short(before)
            raise
        await self._check_runs(made, result)
        return _said(result)

    async def start(self, call: CliCall, relay: Relay) -> CliResult:
        """Start the one that is there, and run the hooks of a start.

        Raises:
            DevContainerFailedError: it does not run then.
        """
        container = self._found.container
        record = (await self._ground.records.all()).get(container) if container is not None else None
        await self._remains.note()
        if container is not None:
            await self._remains.check(await self._ground.engine.inspect(container))
        if record is not None:
            await self._ground.records.keep(replace(record, is_complete=False, error=CUT_SHORT))
        try:
            await unfreeze(self._ground.engine, self._found)
            result = await self._run(call, relay, frozenset())
            made = await self._made(result) if container is None else await self._inspected(container)
            await self._remains.check(made)
        except WsError:
            if record is not None:
                await self._ground.records.keep(record)
            raise
        is_ok = result.outcome is Outcome.SUCCESS
        if record is not None:
            await self._ground.records.keep(_started(record, result, does_run=_runs(made)))
        await self._ground.records.set_error(self._key, "" if is_ok else result.reason)
        await self._check_runs(made, result)
        return _said(result)

    async def _run(self, call: CliCall, relay: Relay, before: frozenset[ContainerId] | set[ContainerId]) -> CliResult:
        watchdog = Watchdog(
            lambda: self._kept.containers_of(self._key), self._kept.look_soon, before, self._ground.stall_s
        )

        async def run(tell: Tell, now: CliCall = call) -> CliResult:
            return await self._ground.cli.run(now, tell, watchdog.is_stalled)

        async def swap(tell: Tell) -> CliResult:
            deferral = Deferral(is_risky=True)

            def told(progress: CliProgress) -> None:
                deferral.set(is_risky=progress.phase in RISKY)
                tell(progress)

            return await deferral.run(lambda: run(told), FINISH_S)

        result = await relay.run(swap if call.removes_existing else run, self._snapshot)
        if result.outcome is not Outcome.EARLY and not (result.outcome is Outcome.STALLED and watchdog.is_running):
            return result
        log.info("the CLI did not get to the hooks of %s (%s); they are run now", self._found.name, result.outcome)
        finishing = replace(call, removes_existing=False, is_expecting=True, no_cache=False)
        return await relay.run(lambda tell: run(tell, finishing), self._snapshot)

    async def _snapshot(self) -> None:
        if self._at_build is None:
            try:
                self._at_build = await self._ground.definitions.fingerprint(self._key)
            except WsError as error:
                log.info("the inputs of %s cannot be read while it is made: %s", self._found.name, error)

    async def _parts(self, before: Fingerprint) -> Mapping[str, str]:
        after = None
        try:
            after = await self._ground.definitions.fingerprint(self._key)
        except WsError as error:
            log.info("the inputs of %s cannot be read now that it is made: %s", self._found.name, error)
        return baseline(before, self._at_build, after)

    async def _made(self, result: CliResult) -> Container | None:
        """The new container, also where the CLI did not name it, or named the old one that it could not remove."""
        if result.container is not None and result.container not in self._before:
            return await self._inspected(result.container)
        new = [each for each in self._kept.containers_of(self._key) if each.id not in self._before]
        return max(new, key=lambda each: each.created_at, default=None)

    def _is_old_kept(self) -> bool:
        return self._found.container in {each.id for each in self._kept.containers_of(self._key)}

    def _left(self) -> str:
        """What there is when there is no new container."""
        if self._found.container is None:
            return "there is no container"
        if self._is_old_kept():
            return "the old one is there"
        return f"the old container is gone{COMPOSE_KEEPS if self._composed else ''}"

    async def _inspected(self, container: ContainerId) -> Container | None:
        try:
            return await self._ground.engine.inspect(container)
        except EngineNotFoundError:
            return None

    async def _record(self, made: Container, result: CliResult, parts: Mapping[str, str]) -> None:
        is_ok = result.outcome is Outcome.SUCCESS
        await self._ground.records.keep(
            Record(
                container=made.id,
                key=self._key,
                parts=parts,
                is_complete=is_ok,
                error="" if is_ok else result.reason or "its set-up did not end well",
                user=result.user,
                path=result.path,
                image_id=made.image_id,
                made_at=self._ground.now(),
            )
        )
        await self._ground.records.set_error(self._key, "")

    async def _check_runs(self, made: Container | None, result: CliResult) -> None:
        """A container that does not run is a failure; one whose hook failed is there and incomplete."""
        if result.outcome is Outcome.SUCCESS or _runs(made):
            return
        old = "the old one was put back" if self._keeps_old else "its container does not run"
        if self._composed and self._found.container is not None and not self._is_old_kept():
            old = f"the new container does not run, and the old one is gone{COMPOSE_KEEPS}"
        failure = DevContainerFailedError(self._found.name, result, old)
        if self._keeps_old:
            await self._ground.records.set_error(self._key, str(failure))
        raise failure

    async def _cut_short(self, before: Fingerprint) -> None:
        """A container that was made by then stays, known to be incomplete."""
        try:
            await self._kept.at(self._key)
            made = await self._made(CliResult(outcome=Outcome.ERROR))
            await self._remains.check(made)
            if made is not None:
                cut = CliResult(outcome=Outcome.ERROR, reason="its set-up was cancelled")
                await self._record(made, cut, await self._parts(before))
            elif self._is_old_kept():
                await self._ground.records.set_error(self._key, "")
            else:
                await self._ground.records.set_error(self._key, "it was cancelled before its container was made")
        except ForbiddenError as error:
            log.warning("what %s was cancelled with was removed: %s", self._found.name, error)
        except WsError as error:
            log.warning("what became of %s, which was cancelled, is not known: %s", self._found.name, error)


def _runs(container: Container | None) -> bool:
    return container is not None and container.state is ContainerState.RUNNING


def _started(record: Record, result: CliResult, *, does_run: bool) -> Record:
    """What is known after a start. One that the engine refused ran no hook, and is as whole as it was."""
    if result.outcome is Outcome.SUCCESS:
        return replace(record, user=result.user or record.user, path=result.path or record.path)
    return replace(record, is_complete=False, error=result.reason) if does_run else record


def _said(result: CliResult) -> CliResult:
    """With what failed among the warnings: the container is there, and the answer is no failure."""
    if result.outcome is Outcome.SUCCESS:
        return result
    text = "\n".join((result.reason or "its set-up did not end well", *result.tail))
    return replace(result, warnings=(text, *result.warnings))
