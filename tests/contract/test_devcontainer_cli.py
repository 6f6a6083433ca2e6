"""The contract of the dev container CLI's door; the real CLI and the fake pass the same one.

Some of it is what the CLI does and a reconciler has to live with: it takes the old container away before it builds,
takes a definition that was cut off for a whole one, and skips a hook that failed the next time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from itertools import pairwise

import anyio
import pytest
from support.devcontainer_scene import FAILS, HANGS, OK, Scene
from support.devcontainer_stage import OnFake, OnReal, Stage

from ws_mcp.core.devcontainers.model import Phase
from ws_mcp.core.devcontainers.port import CliCall, CliProgress, CliResult, Outcome, Verb
from ws_mcp.core.engine.model import Container, ContainerState
from ws_mcp.core.errors import InvalidArgumentError

WAIT_S = 60  # of a test on a busy machine; never reached otherwise
pytestmark = pytest.mark.timeout(180)


@dataclass
class Told:
    """What a run told, and who waits for it."""

    progress: list[CliProgress] = field(default_factory=list[CliProgress])
    reached: dict[Phase, anyio.Event] = field(default_factory=dict[Phase, anyio.Event])

    def __call__(self, progress: CliProgress) -> None:
        self.progress.append(progress)
        if progress.detail:
            self.at(progress.phase).set()

    def at(self, phase: Phase) -> anyio.Event:
        """Something was done in this phase."""
        return self.reached.setdefault(phase, anyio.Event())


def never(phase: Phase, silent_s: float) -> bool:
    """It does not hang."""
    return False


async def run(stage: Stage, verb: Verb = Verb.UP, told: Told | None = None, **how: object) -> CliResult:
    call = CliCall(verb=verb, key=stage.key, **how)  # pyright: ignore[reportArgumentType]
    with anyio.fail_after(WAIT_S):
        return await stage.cli.run(call, told or Told(), never)


async def cancelled_in(stage: Stage, phase: Phase, verb: Verb) -> None:
    """Run it, and cancel it once it works in `phase`."""
    told = Told()
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.cli.run, CliCall(verb=verb, key=stage.key), told, never)
            await told.at(phase).wait()
            assert stage.children() > 0
            tasks.cancel_scope.cancel()


async def containers(stage: Stage) -> tuple[Container, ...]:
    return await stage.engine.list_containers({"devcontainer.local_folder": stage.key.folder})


class CliContract:
    """What a reconciler may rely on."""

    @pytest.fixture(autouse=True)
    async def no_container_stays(self, stage: Stage) -> AsyncGenerator[None]:
        yield
        for container in await containers(stage):
            await stage.engine.remove(container.id)

    async def test_it_has_a_version(self, stage: Stage) -> None:
        assert (await stage.cli.version()).split(".")[0].isdecimal()

    async def test_up_makes_a_container_that_names_its_folder_and_definition(self, stage: Stage) -> None:
        stage.show(Scene(hooks={Phase.ON_CREATE: OK, Phase.POST_CREATE: OK}))
        told = Told()
        result = await run(stage, told=told)
        assert result.outcome is Outcome.SUCCESS
        (made,) = await containers(stage)
        assert (made.id, made.state) == (result.container, ContainerState.RUNNING)
        assert made.labels["devcontainer.config_file"] == stage.key.config
        assert (result.user, result.path) == ("root", f"/workspaces/{stage.folder.name}")
        assert [(hook.name, hook.is_ok) for hook in result.hooks] == [
            ("onCreateCommand", True),
            ("postCreateCommand", True),
        ]
        assert result.merged
        assert "image" in result.merged
        assert [p.phase for p in told.progress if p.detail] == sorted(
            (p.phase for p in told.progress if p.detail), key=list(Phase).index
        )
        assert all(before.fraction <= after.fraction for before, after in pairwise(told.progress))
        assert told.progress[-1].is_reading_files
        assert [line for p in told.progress for line in p.lines].count("working") == 2

    async def test_up_again_finds_the_container_and_runs_only_what_is_for_each_time(self, stage: Stage) -> None:
        stage.show(Scene(hooks={Phase.POST_CREATE: OK, Phase.POST_ATTACH: OK}))
        first, second = await run(stage), await run(stage)
        assert first.container == second.container
        assert [hook.name for hook in second.hooks] == ["postAttachCommand"]

    async def test_up_removes_the_old_container_when_told_to(self, stage: Stage) -> None:
        stage.show(Scene())
        first, second = await run(stage), await run(stage, removes_existing=True)
        (made,) = await containers(stage)
        assert first.container != second.container == made.id

    async def test_a_failing_build_leaves_the_old_container_running_and_says_which_step(self, stage: Stage) -> None:
        stage.show(Scene())
        old = await run(stage)
        stage.show(Scene(build=FAILS))
        told = Told()
        result = await run(stage, Verb.BUILD, told)
        assert (result.outcome, result.container) == (Outcome.ERROR, None)
        assert "build failed at step" in result.reason
        assert "broken" in result.reason
        assert told.at(Phase.BUILD).is_set()
        (there,) = await containers(stage)
        assert (there.id, there.state) == (old.container, ContainerState.RUNNING)

    async def test_up_takes_the_old_container_away_before_it_builds(self, stage: Stage) -> None:
        stage.show(Scene())
        await run(stage)
        stage.show(Scene(build=FAILS))
        assert (await run(stage, removes_existing=True)).outcome is Outcome.ERROR
        assert await containers(stage) == ()

    async def test_a_build_makes_no_container(self, stage: Stage) -> None:
        stage.show(Scene(build=OK))
        assert (await run(stage, Verb.BUILD)).outcome is Outcome.SUCCESS
        assert await containers(stage) == ()

    async def test_a_failing_hook_leaves_its_container_and_is_skipped_the_next_time(self, stage: Stage) -> None:
        stage.show(Scene(hooks={Phase.ON_CREATE: FAILS, Phase.POST_CREATE: OK}))
        failed = await run(stage)
        assert failed.outcome is Outcome.ERROR
        assert failed.reason.startswith("onCreateCommand failed with exit code 7: broken")
        assert [(hook.name, hook.is_ok) for hook in failed.hooks] == [("onCreateCommand", False)]
        (there,) = await containers(stage)
        assert (there.id, there.state) == (failed.container, ContainerState.RUNNING)
        again = await run(stage)
        assert (again.outcome, again.container) == (Outcome.SUCCESS, failed.container)
        assert "onCreateCommand" not in [hook.name for hook in again.hooks]

    async def test_a_cancelled_build_leaves_nobody_and_no_container(self, stage: Stage) -> None:
        stage.show(Scene(build=HANGS))
        await cancelled_in(stage, Phase.BUILD, Verb.BUILD)
        assert stage.children() == 0
        assert await containers(stage) == ()

    async def test_a_cancelled_hook_leaves_the_container(self, stage: Stage) -> None:
        stage.show(Scene(hooks={Phase.POST_CREATE: HANGS}))
        await cancelled_in(stage, Phase.POST_CREATE, Verb.UP)
        assert stage.children() == 0
        (there,) = await containers(stage)
        assert there.state is ContainerState.RUNNING

    async def test_who_hangs_is_ended_when_it_is_said_to(self, stage: Stage) -> None:
        stage.show(Scene(hooks={Phase.POST_CREATE: HANGS}))
        asked: list[tuple[Phase, float]] = []

        def is_stalled(phase: Phase, silent_s: float) -> bool:
            asked.append((phase, silent_s))
            return phase is Phase.POST_CREATE and silent_s >= 1

        with anyio.fail_after(WAIT_S):
            result = await stage.cli.run(CliCall(verb=Verb.UP, key=stage.key), Told(), is_stalled)
        assert (result.outcome, result.container) == (Outcome.STALLED, None)
        assert [(hook.name, hook.is_ok) for hook in result.hooks] == [("postCreateCommand", False)]
        assert asked[-1][1] < 10
        assert stage.children() == 0

    async def test_a_definition_that_was_cut_off_is_taken_for_a_whole_one(self, stage: Stage) -> None:
        stage.show(Scene(is_cut_off=True))
        assert (await run(stage)).outcome is Outcome.SUCCESS

    async def test_a_missing_definition_is_said(self, stage: Stage) -> None:
        stage.show(Scene(is_missing=True))
        result = await run(stage)
        assert (result.outcome, result.container) == (Outcome.ERROR, None)
        assert stage.key.config in result.reason
        with pytest.raises(InvalidArgumentError, match="is not there"):
            await stage.cli.configuration(stage.key, None)

    async def test_who_expects_a_container_is_told_that_there_is_none(self, stage: Stage) -> None:
        stage.show(Scene())
        result = await run(stage, is_expecting=True)
        assert result.outcome is Outcome.ERROR
        assert "there is no container" in result.reason
        assert await containers(stage) == ()

    async def test_a_checked_copy_is_used_in_place_of_the_definition_that_is_named(self, stage: Stage) -> None:
        stage.show(Scene(hooks={Phase.POST_CREATE: FAILS}))
        result = await run(stage, content=stage.copy(Scene(hooks={Phase.ON_CREATE: OK})))
        assert [hook.name for hook in result.hooks] == ["onCreateCommand"]
        (made,) = await containers(stage)
        assert made.labels["devcontainer.config_file"] == stage.key.config

    async def test_a_build_reads_its_checked_copy_and_not_the_definition(self, stage: Stage) -> None:
        stage.show(Scene(is_missing=True))
        result = await run(stage, Verb.BUILD, content=stage.copy(Scene(build=OK)))
        assert (result.outcome, result.reason) == (Outcome.SUCCESS, "")

    async def test_the_configuration_can_be_read(self, stage: Stage) -> None:
        stage.show(Scene())
        found = await stage.cli.configuration(stage.key, None)
        assert {"configuration", "mergedConfiguration"} <= set(found)


class TestFake(OnFake, CliContract):
    """The fake."""


class TestReal(OnReal, CliContract):
    """The real one."""
