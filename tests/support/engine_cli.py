"""A dev container CLI that makes its containers on the fake engine, from definitions in memory."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel

from support.fake_definitions import FakeDefinitions, definition_of
from support.fake_engine import FakeEngine
from ws_mcp.core.devcontainers.model import Hook, Key, Phase
from ws_mcp.core.devcontainers.port import CliCall, CliProgress, CliResult, Outcome, Tell, Verb
from ws_mcp.core.devcontainers.sightings import CONFIG, FOLDER, METADATA, PROJECT, PROJECT_FOLDER, SERVICE
from ws_mcp.core.engine.model import BindMount, ContainerSpec
from ws_mcp.core.errors import WsError
from ws_mcp.core.ids import ContainerId

HOOKS = (Phase.ON_CREATE, Phase.UPDATE_CONTENT, Phase.POST_CREATE, Phase.POST_START, Phase.POST_ATTACH)


class EngineCli:
    """See `ws_mcp.core.devcontainers.port.DevcontainerCli`: as the real one, on the fake engine.

    `gates`: waited for at the beginning of a phase; `reached`: set then; `fails`: the phases that fail, and with what;
    `at`: done at the beginning of a phase; `misses_start`: the next `up` waits for ever for its container;
    `is_early`: the next `up` runs its first command before the engine has quite started the container.
    """

    def __init__(self, engine: FakeEngine, definitions: FakeDefinitions) -> None:
        self._engine = engine
        self._definitions = definitions
        self.calls: list[CliCall] = []
        self.gates: dict[Phase, anyio.Event] = {}
        self.reached: defaultdict[Phase, anyio.Event] = defaultdict(anyio.Event)
        self.fails: dict[Phase, str] = {}
        self.at: dict[Phase, Callable[[], None]] = {}
        self.on_phase: Callable[[], None] = lambda: None
        self.misses_start = self.is_early = False
        self.on_read: Callable[[], None] = lambda: None  # when a definition is read
        self.hangs_in: Phase | None = None  # of a run: it says nothing any more
        self.keeps_old = ""  # why an old container cannot be removed
        self.missing: WsError | None = None
        self.merged: dict[str, object] = {}
        self.sidecars: tuple[str, ...] = ()  # of a compose project
        self.copies: dict[Path, str] = {}
        self.ran: list[str] = []  # what was run where, in order

    @property
    def runs(self) -> list[Verb]:
        """What it was told, in order."""
        return [call.verb for call in self.calls]

    async def version(self) -> str:
        await anyio.lowlevel.checkpoint()
        if self.missing is not None:
            raise self.missing
        return "0.89.0"

    async def configuration(self, key: Key, content: Path | None) -> Mapping[str, object]:
        await anyio.lowlevel.checkpoint()
        self.on_read()
        return {"mergedConfiguration": {**self._properties(key, content), **self.merged}}

    async def run(self, call: CliCall, tell: Tell, is_stalled: Callable[[Phase, float], bool]) -> CliResult:
        self.calls.append(call)
        try:
            await self._hang_in(Phase.RESOLVE, is_stalled)
            if call.verb is Verb.BUILD:
                await self._reach(Phase.BUILD, tell, is_reading=True)
                return CliResult(outcome=Outcome.SUCCESS)
            return await self._up(call, tell, is_stalled)
        except _PhaseFailed as failed:
            return replace(failed.result, tail=(f"{failed.phase.value} went wrong",))

    async def _up(self, call: CliCall, tell: Tell, is_stalled: Callable[[Phase, float], bool]) -> CliResult:
        await self._reach(Phase.RESOLVE, tell)
        properties = self._properties(call.key, call.content)
        if "initializeCommand" in properties:
            await self._reach(Phase.INITIALIZE, tell)
        found = self._found(call.key)
        if found is not None and call.removes_existing and self.keeps_old:
            return CliResult(outcome=Outcome.ERROR, reason=self.keeps_old, container=found)
        if found is not None and call.removes_existing:
            if call.aside is not None:
                assert call.aside.container == found
                await self._engine.stop(found, 0)
                await self._engine.rename(found, call.aside.name)
            else:
                await self._engine.remove(found)
            found = None
        if found is None and call.is_expecting:
            return CliResult(outcome=Outcome.ERROR, reason="The expected container does not exist.")
        if found is None:
            await self._reach(Phase.BUILD, tell, is_reading=True)
            await self._reach(Phase.CREATE, tell)
            await self._hang_in(Phase.CREATE, is_stalled)
            found = await self._create(call, properties)
            self.ran.append("create")
            if self.misses_start or self.is_early:
                return await self._fall_short(found, is_stalled)
            hooks = HOOKS
        else:
            await self._reach(Phase.CREATE, tell)
            await self._engine.start(found)
            hooks = HOOKS if self._is_new(found) else HOOKS[3:]
        return await self._hooks(found, hooks, tell)

    async def _hooks(self, found: ContainerId, hooks: tuple[Phase, ...], tell: Tell) -> CliResult:
        done = CliResult(
            outcome=Outcome.SUCCESS, container=found, user="dev", path="/workspaces/shop", project=self._project(found)
        )
        for phase in hooks:
            await self._reach(phase, tell, failing=replace(done, outcome=Outcome.ERROR))
            done = replace(done, hooks=(*done.hooks, Hook(name=phase.value, duration_s=0.1, is_ok=True)))
        self.ran.append("hooks")
        return done

    async def _fall_short(self, made: ContainerId, is_stalled: Callable[[Phase, float], bool]) -> CliResult:
        if self.is_early:
            self.is_early = False
            return CliResult(outcome=Outcome.EARLY, reason="it does not run", container=made)
        self.misses_start = False
        return await self._hang(is_stalled)

    async def _hang(self, is_stalled: Callable[[Phase, float], bool], phase: Phase = Phase.CREATE) -> CliResult:
        silent_s = 0.0
        while not is_stalled(phase, silent_s):
            await anyio.sleep(1)
            silent_s += 1
        return CliResult(outcome=Outcome.STALLED, reason=f"the CLI said nothing for {silent_s:.0f} s ({phase.value})")

    async def _hang_in(self, phase: Phase, is_stalled: Callable[[Phase, float], bool]) -> None:
        if self.hangs_in is phase:
            raise _PhaseFailed(phase, await self._hang(is_stalled, phase))

    async def _reach(
        self, phase: Phase, tell: Tell, *, is_reading: bool = False, failing: CliResult | None = None
    ) -> None:
        number = list(Phase).index(phase)
        fraction, lines = number / len(Phase), (f"{phase.value}: working",)
        tell(CliProgress(phase=phase, detail="step", fraction=fraction, is_reading_files=is_reading, lines=lines))
        self.on_phase()
        self.at.get(phase, lambda: None)()
        self.reached[phase].set()
        await anyio.lowlevel.checkpoint()
        if phase in self.gates:
            await self.gates[phase].wait()
        if phase in self.fails:
            raise _PhaseFailed(phase, replace(failing or CliResult(outcome=Outcome.ERROR), reason=self.fails[phase]))

    async def _create(self, call: CliCall, properties: Mapping[str, object]) -> ContainerId:
        labels = {FOLDER: call.key.folder, CONFIG: call.key.config, METADATA: json.dumps([dict(properties)])}
        if "dockerComposeFile" in properties:
            labels |= await self._compose(call.key)
        mount = BindMount(source=call.key.folder, target="/workspaces/shop")
        name = f"{call.key.folder.rpartition('/')[2]}-{len(self.calls)}"
        made = await self._engine.create(ContainerSpec(name=name, image="img:1", labels=labels, mounts=(mount,)))
        await self._engine.start(made)
        return made

    async def _compose(self, key: Key) -> dict[str, str]:
        """The services that the dev container's own depends on, where they are not there; its labels."""
        there = {c.spec.labels.get(SERVICE) for c in self._engine.containers.values()}
        for service in self.sidecars:
            if service not in there:
                labels = _composed(key.folder, service)
                made = await self._engine.create(ContainerSpec(name=f"shop_{service}_1", image="img:1", labels=labels))
                await self._engine.start(made)
        needs = ",".join(f"{service}:service_started:false" for service in self.sidecars)
        return _composed(key.folder, "app", depends_on=needs)

    def _found(self, key: Key) -> ContainerId | None:
        same = [c for c in self._engine.containers.values() if c.spec.labels.get(CONFIG) == key.config]
        return max(same, key=lambda c: c.created_at).id if same else None

    def _is_new(self, found: ContainerId) -> bool:
        return "hooks" not in self.ran or self.ran[-1] == "create"

    def _project(self, found: ContainerId) -> str:
        container = self._engine.containers.get(found)
        return container.spec.labels.get(PROJECT, "") if container is not None else ""

    def _properties(self, key: Key, content: Path | None) -> Mapping[str, object]:
        text = self.copies[content] if content is not None else self._definitions.texts[key]
        return definition_of(key, text).properties


class _PhaseFailed(Exception):  # noqa: N818 - no error of the product
    def __init__(self, phase: Phase, result: CliResult) -> None:
        super().__init__(phase)
        self.phase = phase
        self.result = result


def _composed(folder: str, service: str, **more: str) -> dict[str, str]:
    prefix = PROJECT.rpartition(".")[0]
    labels = {PROJECT: "shop_devcontainer", SERVICE: service, PROJECT_FOLDER: f"{folder}/.devcontainer"}
    return labels | {f"{prefix}.{name}": value for name, value in more.items()}
