"""A dev container CLI in memory: it makes containers on a `FakeEngine`, in virtual time; passes the door's contract.

A test says what the definition would do (`scene`, or by key in `scenes`), what is done meanwhile (`during`), and
whether there is a CLI at all (`missing`). What was asked stands in `calls`. It runs no tasks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import anyio

from support.devcontainer_scene import FAILS, HANGS, OK, During, Scene, nothing
from support.fake_engine import FakeEngine
from ws_mcp.core.devcontainers.model import Hook, Key, Phase
from ws_mcp.core.devcontainers.port import CliCall, CliMissingError, CliProgress, CliResult, Outcome, Tell, Verb
from ws_mcp.core.engine.model import Container, ContainerSpec, ContainerState
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import ContainerId

FOLDER, CONFIG, METADATA = "devcontainer.local_folder", "devcontainer.config_file", "devcontainer.metadata"
ONCE = (Phase.ON_CREATE, Phase.UPDATE_CONTENT, Phase.POST_CREATE)
HOOKS = (*ONCE, Phase.POST_START, Phase.POST_ATTACH)
PHASES = tuple(Phase)
STEP_S = 0.1  # each phase takes that long
ASK_S = 1.0

IsStalled = Callable[[Phase, float], bool]


class _RunFailedError(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _StalledError(Exception):
    pass


class FakeDevcontainerCli:
    """See `ws_mcp.core.devcontainers.port.DevcontainerCli`."""

    def __init__(self, engine: FakeEngine) -> None:
        self.scene = Scene()
        self.scenes: dict[Key, Scene] = {}
        self.copies: dict[Path, Scene] = {}
        self.during: During = nothing
        self.missing = ""  # why there is no CLI
        self.calls: list[CliCall] = []
        self.running = 0
        self._engine = engine
        self._done: dict[ContainerId, set[Phase]] = {}

    async def version(self) -> str:
        await anyio.lowlevel.checkpoint()
        self._check()
        return "0.89.0"

    async def run(self, call: CliCall, tell: Tell, is_stalled: IsStalled) -> CliResult:
        await anyio.lowlevel.checkpoint()
        self._check()
        self.calls.append(call)
        scene = self.copies[call.content] if call.content else self._scene(call.key)
        with self._counted():
            run = _Run(self, call, scene, tell, is_stalled)
            return await run.result()

    async def configuration(self, key: Key, content: Path | None) -> Mapping[str, object]:
        await anyio.lowlevel.checkpoint()
        self._check()
        scene = self.copies[content] if content else self._scene(key)
        if scene.is_missing:
            raise InvalidArgumentError(f"the definition {key.config} is not there: it was moved or removed")
        return {"configuration": {"image": scene.image}, "workspace": {}, "mergedConfiguration": dict(scene.merged)}

    def _scene(self, key: Key) -> Scene:
        return self.scenes.get(key, self.scene)

    def _check(self) -> None:
        if self.missing:
            raise CliMissingError(self.missing)

    @contextmanager
    def _counted(self) -> Any:
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1


class _Run:
    """One run."""

    def __init__(
        self, cli: FakeDevcontainerCli, call: CliCall, scene: Scene, tell: Tell, is_stalled: IsStalled
    ) -> None:
        self._cli = cli
        self._engine = cli._engine
        self._call = call
        self._scene = scene
        self._tell = tell
        self._is_stalled = is_stalled
        self._phase = Phase.RESOLVE
        self._silent_s = 0.0
        self._is_reading = False
        self._hooks: list[Hook] = []
        self._container: ContainerId | None = None

    async def result(self) -> CliResult:
        """Run it to the end."""
        try:
            await self._all()
        except _RunFailedError as error:
            return self._came_to(Outcome.ERROR, error.reason)
        except _StalledError:
            return self._came_to(Outcome.STALLED, f"the dev container CLI said nothing for {self._silent_s:.0f} s")
        return self._came_to(Outcome.SUCCESS, "")

    def _came_to(self, outcome: Outcome, reason: str) -> CliResult:
        is_up = self._container is not None and outcome is Outcome.SUCCESS
        return CliResult(
            outcome=outcome,
            reason=reason,
            tail=(reason,) if reason else (),
            container=None if outcome is Outcome.STALLED else self._container,
            user=self._scene.user if is_up else "",
            path=f"/workspaces/{PurePath(self._call.key.folder).name}" if is_up else "",
            project=self._scene.project if is_up else "",
            hooks=tuple(self._hooks),
            warnings=self._scene.warnings,
            merged={"image": self._scene.image, **self._scene.merged} if is_up else None,
        )

    async def _all(self) -> None:
        if self._scene.is_missing:
            raise _RunFailedError(f"the definition {self._call.key.config} is not there: it was moved or removed")
        if self._call.verb is Verb.BUILD:
            self._read()
            await self._build()
            return
        found = await self._found()
        if self._call.is_expecting and found is None:
            raise _RunFailedError("there is no container of this dev container any more: recreate it")
        await self._initialize()
        self._read()
        if found is not None and self._call.removes_existing:
            await self._engine.remove(found.id)
            found = None
        await (self._create() if found is None else self._start(found))
        await self._run_hooks()

    async def _found(self) -> Container | None:
        labels = {FOLDER: self._call.key.folder, CONFIG: self._call.key.config}
        found = sorted(await self._engine.list_containers(labels), key=lambda c: c.created_at)
        return found[-1] if found else None

    async def _initialize(self) -> None:
        if self._scene.initialize:
            await self._enter(Phase.INITIALIZE)
            await self._hook(Phase.INITIALIZE, self._scene.initialize)

    def _read(self) -> None:
        self._is_reading = True
        self._say("")

    async def _build(self) -> None:
        if not self._scene.build:
            return
        await self._enter(Phase.BUILD)
        self._say("step 1/2 (RUN echo working)")
        await self._maybe_hang(self._scene.build)
        if self._scene.build == FAILS:
            raise _RunFailedError("the build failed at step 2/2 (RUN exit 7) with exit code 7: broken; correct it")

    async def _create(self) -> None:
        await self._build()
        await self._enter(Phase.CREATE)
        metadata = [{phase.value: state for phase, state in self._scene.hooks.items()}]
        project = {"com.docker.compose.project": self._scene.project} if self._scene.project else {}
        of_key = {FOLDER: self._call.key.folder, CONFIG: self._call.key.config}
        spec = ContainerSpec(
            name=f"fake-{len(self._engine.containers)}-{len(self._cli.calls)}",
            image=self._scene.image,
            command=("sleep", "1000"),
            labels={**of_key, METADATA: json.dumps(metadata), **project},
        )
        made = await self._engine.create(spec)
        await self._engine.start(made)
        if self._scene.creates_hanging:
            await self._maybe_hang(HANGS)
        self._container = made
        self._cli._done[made] = set()

    async def _start(self, found: Container) -> None:
        await self._enter(Phase.CREATE)
        self._container = found.id
        done = self._cli._done.setdefault(found.id, set())
        if found.state is ContainerState.PAUSED:
            raise _RunFailedError("the container is paused: unpause it, then try again")
        if found.state is not ContainerState.RUNNING:
            await self._engine.start(found.id)
            done.discard(Phase.POST_START)

    async def _run_hooks(self) -> None:
        assert self._container is not None
        done = self._cli._done[self._container]
        for phase in HOOKS:
            if phase in self._scene.hooks and phase not in done:
                await self._enter(phase)
                # The real one marks a hook before it runs it, and so skips one that failed the next time.
                done |= {phase} - {Phase.POST_ATTACH}
                await self._hook(phase, self._scene.hooks[phase])

    async def _hook(self, phase: Phase, how: str) -> None:
        self._say("working")
        try:
            await self._maybe_hang(how)
        except _StalledError:
            self._hooks.append(Hook(name=phase.value, duration_s=STEP_S, is_ok=False))
            raise
        self._hooks.append(Hook(name=phase.value, duration_s=STEP_S, is_ok=how == OK))
        if how == FAILS:
            self._cli._done.setdefault(self._container or ContainerId(""), set()).update(HOOKS[:-1])
            raise _RunFailedError(f"{phase.value} failed with exit code 7: broken; the container runs")

    async def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._say("")
        await self._cli.during(self._call, phase)
        await anyio.sleep(STEP_S)

    async def _maybe_hang(self, how: str) -> None:
        while how == HANGS:
            if self._is_stalled(self._phase, self._silent_s):
                raise _StalledError
            await anyio.sleep(ASK_S)
            self._silent_s += ASK_S

    def _say(self, detail: str) -> None:
        fraction = PHASES.index(self._phase) / len(PHASES)
        self._tell(
            CliProgress(
                phase=self._phase,
                detail=detail,
                fraction=fraction,
                is_reading_files=self._is_reading,
                lines=(detail,) if detail else (),
            )
        )
