"""Recreates: nothing is lost to a failure, nothing is done without need, and what was done is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import anyio
import pytest
from support.kept_ground import SHOP, DevGround, only_one, others_container, recreated, remade, states, unheard

from ws_mcp.core.devcontainers.allowances import Allowances
from ws_mcp.core.devcontainers.build_logs import BuildLogs
from ws_mcp.core.devcontainers.model import Freshness, Phase, RecreateAsk, Recreated, Status, Target
from ws_mcp.core.devcontainers.port import CliMissingError, UnreadableDefinitionError, Verb
from ws_mcp.core.devcontainers.swap import DevContainerFailedError
from ws_mcp.core.devcontainers.watchdog import Watchdog
from ws_mcp.core.engine.model import ContainerState
from ws_mcp.core.errors import ConflictError, ForbiddenError, InvalidArgumentError, NotFoundError
from ws_mcp.core.job import StillRunning
from ws_mcp.core.jobs import JobBounds

pytestmark = pytest.mark.anyio

EDITED = ("Dockerfile changed (copied by the Dockerfile)",)
FORCE = RecreateAsk(force=True)
BY_FOLDER = Target(folder=SHOP.folder)


@pytest.fixture
def ground() -> DevGround:
    made = DevGround()
    made.definitions.write(SHOP, {"image": "img:1"}, Dockerfile="FROM img:1")
    return made


async def test_a_folder_without_a_container_gets_one(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        assert (await only_one(devcontainers)).status is Status.ABSENT
        done = await recreated(devcontainers)
        found = await only_one(devcontainers)
    assert (done.change, done.old_container, done.devcontainer.name) == ("created", None, "shop")
    assert (found.status, found.error, found.is_complete, found.user) == (Status.RUNNING, "", True, "dev")
    assert found.verdict is not None
    assert found.verdict.freshness is Freshness.CLEAN
    assert [hook.name for hook in done.hooks] == [phase.value for phase in list(Phase)[4:]]
    assert ground.cli.runs == [Verb.UP]  # there is nothing that a build would protect


async def test_a_clean_running_one_is_left_alone_unless_forced(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        again = await recreated(devcontainers)
        assert (again.change, again.devcontainer.container) == ("none", made)
        forced = await recreated(devcontainers, FORCE)
    assert (forced.change, forced.old_container) == ("recreated", made)
    assert forced.devcontainer.container not in (None, made)
    assert len(ground.engine.containers) == 1


async def test_an_edit_is_a_reason_and_the_recreate_says_it(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        ground.definitions.write(SHOP, {"image": "img:1"}, Dockerfile="FROM img:1\nRUN true")
        found = await only_one(devcontainers)
        assert found.verdict is not None
        assert found.verdict.reasons == EDITED
        done = await recreated(devcontainers)
        assert (done.change, done.reasons) == ("recreated", EDITED)
        after = await only_one(devcontainers)
    assert after.verdict is not None
    assert after.verdict.freshness is Freshness.CLEAN
    assert ground.cli.runs == [Verb.UP, Verb.BUILD, Verb.UP]


async def test_a_build_that_fails_leaves_the_old_container_and_says_why(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        ground.definitions.write(SHOP, {"image": "img:1"}, Dockerfile="FROM img:1\nRUN false")
        ground.cli.fails[Phase.BUILD] = "RUN false returned 1"
        with pytest.raises(DevContainerFailedError, match=r"RUN false returned 1.*not touched(.|\n)*went wrong"):
            await recreated(devcontainers)
        found = await only_one(devcontainers)
        assert (found.status, found.container, found.is_complete) == (Status.RUNNING, made, True)
        assert "RUN false returned 1" in found.error
        ground.cli.fails.clear()
        await recreated(devcontainers)
        assert (await only_one(devcontainers)).error == ""


async def test_a_creation_that_fails_is_an_error_until_one_goes_well(ground: DevGround) -> None:
    ground.cli.fails[Phase.BUILD] = "no space left on device"
    async with ground.open() as devcontainers:
        with pytest.raises(DevContainerFailedError, match="no space left"):
            await recreated(devcontainers)
        found = await only_one(devcontainers)
        assert (found.status, found.container) == (Status.ERROR, None)
        assert "no space left" in found.error
        ground.cli.fails.clear()
        assert (await recreated(devcontainers)).change == "created"
        found = await only_one(devcontainers)
    assert (found.status, found.error) == (Status.RUNNING, "")


async def test_a_hook_that_fails_leaves_a_running_incomplete_container(ground: DevGround) -> None:
    ground.cli.fails[Phase.POST_CREATE] = "postCreateCommand failed with exit code 3"
    async with ground.open() as devcontainers:
        done = await recreated(devcontainers)
        assert (done.change, done.devcontainer.is_complete) == ("created", False)
        assert "exit code 3" in done.warnings[0]
        assert "went wrong" in done.warnings[0]
        found = await only_one(devcontainers)
        assert (found.status, found.is_complete, "exit code 3" in found.error) == (Status.RUNNING, False, True)
        # A plain `up` would skip the hook now and say that all is well.
        ground.cli.fails.clear()
        again = await recreated(devcontainers)
    assert again.change == "recreated"
    assert "exit code 3" in again.reasons[0]
    assert (again.devcontainer.is_complete, again.devcontainer.error) == (True, "")


async def test_a_stopped_one_is_started_without_a_build(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        assert made is not None
        await ground.engine.stop(made, 1)
        done = await recreated(devcontainers)
    assert (done.change, done.devcontainer.container, done.devcontainer.status) == ("started", made, Status.RUNNING)
    assert ground.cli.calls[-1].is_expecting


@pytest.mark.parametrize("ask", [RecreateAsk(), FORCE])
async def test_a_paused_one_goes_on(ground: DevGround, ask: RecreateAsk) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        assert made is not None
        await ground.engine.pause(made)
        assert (await only_one(devcontainers, is_fresh=True)).status is Status.PAUSED
        assert (await recreated(devcontainers, ask)).devcontainer.status is Status.RUNNING


async def test_an_edit_while_it_is_built_is_built_too(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        edits = ["RUN 2", "RUN 3"]
        ground.cli.at[Phase.BUILD] = lambda: (
            ground.definitions.write(SHOP, {"image": "img:1"}, Dockerfile=edits.pop(0)) if edits else None
        )
        done = await recreated(devcontainers, FORCE)
    assert ground.cli.runs[1:] == [Verb.BUILD, Verb.BUILD, Verb.BUILD, Verb.UP]
    assert done.devcontainer.verdict is not None
    assert done.devcontainer.verdict.freshness is Freshness.CLEAN


async def test_files_that_change_in_each_build_lose_no_container(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        count = iter(range(100))
        ground.cli.at[Phase.BUILD] = lambda: ground.definitions.write(
            SHOP, {"image": "img:1"}, Dockerfile=f"RUN {next(count)}"
        )
        with pytest.raises(ConflictError, match="changed in each of its 3 builds"):
            await recreated(devcontainers, FORCE)
        assert (await only_one(devcontainers)).container == made


async def test_an_edit_during_the_hooks_is_seen_as_out_of_date(ground: DevGround) -> None:
    ground.cli.at[Phase.POST_CREATE] = lambda: ground.definitions.write(SHOP, {"image": "img:1"}, Dockerfile="RUN 2")
    async with ground.open() as devcontainers:
        done = await recreated(devcontainers)
    assert done.devcontainer.verdict is not None
    assert done.devcontainer.verdict.reasons == EDITED


async def test_what_initialize_command_writes_is_no_reason(ground: DevGround) -> None:
    definition = {"image": "img:1", "initializeCommand": "make .env"}
    ground.definitions.write(SHOP, definition)
    ground.cli.at[Phase.INITIALIZE] = lambda: ground.definitions.write(SHOP, definition, env="A=1")
    async with ground.open() as devcontainers:
        done = await recreated(devcontainers)
    assert done.devcontainer.verdict is not None
    assert done.devcontainer.verdict.freshness is Freshness.CLEAN


async def test_a_definition_that_is_changed_after_the_check_is_not_used(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        ground.cli.at[Phase.BUILD] = lambda: ground.definitions.write(SHOP, {"image": "evil:1"})
        with pytest.raises(ConflictError, match="was changed while it was built"):
            await recreated(devcontainers, FORCE)
        assert (await only_one(devcontainers)).container == made


async def test_up_uses_the_checked_text_even_if_the_file_is_another_by_then(ground: DevGround) -> None:
    ground.cli.at[Phase.RESOLVE] = lambda: ground.definitions.write(SHOP, {"image": "evil:1", "mounts": ["/:/host"]})
    async with ground.open() as devcontainers:
        done = await recreated(devcontainers)
    [container] = ground.engine.containers.values()
    assert "evil" not in container.spec.labels["devcontainer.metadata"]
    assert done.devcontainer.verdict is not None
    assert done.devcontainer.verdict.freshness is Freshness.DIRTY


async def test_a_half_written_definition_is_refused_before_anything_runs(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        ground.definitions.write(SHOP, '{"image": "img:')
        with pytest.raises(UnreadableDefinitionError, match="line 1"):
            await recreated(devcontainers, FORCE)
        assert (await only_one(devcontainers)).container == made
    assert ground.cli.runs == [Verb.UP]


@pytest.mark.parametrize("merged", [{}, {"privileged": True}])
async def test_what_the_operator_does_not_allow_is_not_run(ground: DevGround, merged: dict[str, object]) -> None:
    ground.cli.merged = merged
    ground.allowances = Allowances()
    if not merged:
        ground.definitions.write(SHOP, {"image": "img:1", "initializeCommand": "touch /tmp/marker"})
    async with ground.open() as devcontainers:
        with pytest.raises(ForbiddenError, match="privileged" if merged else "initializeCommand"):
            await recreated(devcontainers)
    assert (ground.cli.calls, ground.engine.containers) == ([], {})


async def test_a_container_that_is_more_than_allowed_is_removed_again(ground: DevGround) -> None:
    ground.cli.at[Phase.POST_START] = lambda: make_privileged(ground)
    async with ground.open() as devcontainers:
        with pytest.raises(ForbiddenError, match=r"privileged.*removed"):
            await recreated(devcontainers)
        found = await only_one(devcontainers)
    assert (ground.engine.containers, found.status) == ({}, Status.ERROR)
    assert "privileged" in found.error
    assert ground.inside.arrived == []


async def test_a_dry_run_says_what_would_run_and_runs_nothing(ground: DevGround) -> None:
    definition = {"image": "img:1", "initializeCommand": ["make", "a b"]}
    ground.definitions.write(SHOP, definition)
    async with ground.open() as devcontainers:
        would = await recreated(devcontainers, RecreateAsk(is_dry_run=True))
        assert (would.change, ground.cli.calls, ground.engine.containers) == ("created", [], {})
        await recreated(devcontainers)
        ground.definitions.write(SHOP, {**definition, "mounts": ["type=volume,source=a,target=/a"]})
        would = await recreated(devcontainers, RecreateAsk(is_dry_run=True))
    assert (would.change, would.reasons) == ("recreated", ("mounts added",))
    assert [run.partition(" --")[0] for run in would.runs] == [
        "devcontainer build",
        "initializeCommand: make 'a b'",
        "devcontainer up",
    ]
    assert "--remove-existing-container" in would.runs[-1]


async def test_an_up_that_hangs_after_the_start_is_ended_and_its_hooks_are_run(
    ground: DevGround, virtual_time: None
) -> None:
    ground.cli.misses_start, ground.stall_s = True, 20.0
    async with ground.open() as devcontainers:
        done = await recreated(devcontainers)
    assert (done.change, done.devcontainer.is_complete, len(done.hooks)) == ("created", True, 5)
    assert ground.cli.ran == ["create", "hooks"]
    assert len(ground.engine.containers) == 1
    assert ground.cli.calls[-1].is_expecting
    assert not ground.cli.calls[-1].removes_existing


async def test_an_up_that_was_ahead_of_the_engine_goes_on_with_its_hooks(ground: DevGround) -> None:
    ground.cli.is_early = True
    async with ground.open() as devcontainers:
        done = await recreated(devcontainers)
    assert (done.change, done.devcontainer.is_complete, done.warnings) == ("created", True, ())
    assert ground.cli.ran == ["create", "hooks"]
    assert len(ground.engine.containers) == 1


@pytest.mark.parametrize("phase", [Phase.RESOLVE, Phase.CREATE])
async def test_an_up_that_hangs_before_its_container_runs_is_ended_and_the_old_one_comes_back(
    ground: DevGround, virtual_time: None, phase: Phase
) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container

        def hang() -> None:
            ground.cli.hangs_in = phase

        ground.cli.at[Phase.BUILD] = hang
        with pytest.raises(DevContainerFailedError, match=rf"nothing for \d+ s.*{phase.value}.*old one is there"):
            await remade(devcontainers)
        found = await only_one(devcontainers)
    assert (found.container, found.status) == (made, Status.RUNNING)
    assert len(ground.cli.calls) == 3  # it is not asked for its hooks


async def test_a_hook_and_a_build_may_say_nothing_for_as_long_as_they_take(
    ground: DevGround, virtual_time: None
) -> None:
    for phase in Phase:
        is_bounded = phase in (Phase.RESOLVE, Phase.CREATE)
        assert Watchdog(tuple, nothing, (), 20.0).is_stalled(phase, 3000.0) is is_bounded, phase


async def test_one_that_is_cancelled_in_the_build_keeps_the_old_container(
    ground: DevGround, virtual_time: None
) -> None:
    async with ground.open(JobBounds(deadline_s=30)) as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        ground.cli.gates[Phase.BUILD] = anyio.Event()
        with pytest.raises(Exception, match="did not end within 30 s"):
            await recreated(devcontainers, FORCE)
        found = await only_one(devcontainers)
    assert (found.status, found.container, found.is_complete, found.error) == (Status.RUNNING, made, True, "")


async def test_one_that_is_cancelled_in_a_hook_keeps_the_new_container_as_incomplete(
    ground: DevGround, virtual_time: None
) -> None:
    async with ground.open(JobBounds(deadline_s=30)) as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        ground.cli.gates[Phase.POST_CREATE] = anyio.Event()
        with pytest.raises(Exception, match="did not end within 30 s"):
            await recreated(devcontainers, FORCE)
        found = await only_one(devcontainers)
        assert (found.status, found.is_complete) == (Status.RUNNING, False)
        assert found.container not in (None, made)
        ground.cli.gates.clear()
        assert (await recreated(devcontainers)).devcontainer.is_complete


async def test_equal_recreates_share_one_and_another_is_refused_while_it_runs(ground: DevGround) -> None:
    ground.cli.gates[Phase.BUILD] = anyio.Event()
    answers: list[Recreated | StillRunning] = []
    async with ground.open() as devcontainers:

        async def ask() -> None:
            answers.append(await devcontainers.recreate(BY_FOLDER, RecreateAsk(), unheard))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
            await ground.cli.reached[Phase.BUILD].wait()
            assert (await only_one(devcontainers)).status is Status.STARTING
            with pytest.raises(ConflictError, match=r"shop.*differently.*building the image"):
                await devcontainers.recreate(Target(name="shop"), FORCE, unheard)
            with pytest.raises(ConflictError, match="shop"):
                await devcontainers.remove("shop", unheard)
            ground.cli.gates[Phase.BUILD].set()
    assert [answer.change for answer in answers if isinstance(answer, Recreated)] == ["created", "created"]
    assert len(ground.engine.containers) == 1


async def test_a_call_that_waited_long_enough_is_told_how_far_it_is_and_comes_back(
    ground: DevGround, virtual_time: None
) -> None:
    ground.cli.gates[Phase.POST_CREATE] = anyio.Event()
    said: list[tuple[str, float]] = []

    async def hear(phase: str, fraction: float) -> None:
        said.append((phase, fraction))

    async with ground.open() as devcontainers:
        waited = await devcontainers.recreate(BY_FOLDER, RecreateAsk(), hear)
        assert isinstance(waited, StillRunning)
        assert waited.phase == "postCreateCommand: step"
        ground.cli.gates[Phase.POST_CREATE].set()
        done = await devcontainers.recreate(BY_FOLDER, RecreateAsk(), hear)
    assert isinstance(done, Recreated)
    assert done.change == "created"
    fractions = [fraction for _, fraction in said]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.5


async def test_two_servers_never_make_two_containers_of_one_folder(ground: DevGround, virtual_time: None) -> None:
    ground.cli.gates[Phase.CREATE] = anyio.Event()
    changes: list[str] = []
    async with ground.open() as one, ground.open() as other, anyio.create_task_group() as tasks:

        async def ask(which: object) -> None:
            changes.append((await recreated(one if which == 1 else other)).change)

        tasks.start_soon(ask, 1)
        await ground.cli.reached[Phase.CREATE].wait()
        tasks.start_soon(ask, 2)
        await anyio.sleep(5)
        with pytest.raises(ConflictError, match="wait"):
            await other.recreate(BY_FOLDER, FORCE, unheard)
        ground.cli.gates[Phase.CREATE].set()
    assert (changes, len(ground.engine.containers)) == (["created", "none"], 1)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (Target(), InvalidArgumentError),
        (Target(name="shop", folder=SHOP.folder), InvalidArgumentError),
        (Target(name="shop", config="a"), InvalidArgumentError),
        (Target(name="nope"), NotFoundError),
        (Target(folder="/projects/nope"), NotFoundError),
        (Target(folder="/etc"), ForbiddenError),
    ],
)
async def test_a_target_that_means_nothing_is_refused(ground: DevGround, target: Target, kind: type[Exception]) -> None:
    async with ground.open() as devcontainers:
        with pytest.raises(kind):
            await devcontainers.recreate(target, RecreateAsk(), unheard)
    assert ground.cli.calls == []


async def test_a_container_is_found_by_its_name_and_its_id(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = await recreated(devcontainers)
        container = made.devcontainer.container
        assert container is not None
        for name in ("shop", container, container[:12], ground.engine.containers[container].spec.name):
            done = await devcontainers.recreate(Target(name=name), RecreateAsk(), unheard)
            assert isinstance(done, Recreated)
            assert done.change == "none"


async def test_without_the_cli_only_what_needs_it_fails(ground: DevGround) -> None:
    await others_container(ground)
    ground.cli.missing = CliMissingError("there is no dev container CLI here: npm install it")
    async with ground.open() as devcontainers:
        assert (await only_one(devcontainers)).status is Status.RUNNING
        with pytest.raises(CliMissingError, match="npm install"):
            await recreated(devcontainers, FORCE)
        assert (await only_one(devcontainers)).status is Status.RUNNING


async def test_a_container_whose_up_fails_and_that_does_not_run_is_a_failure(ground: DevGround) -> None:
    ground.cli.fails[Phase.ON_CREATE] = "the service exited at once; add a command"

    def end() -> None:
        for container in ground.engine.containers.values():
            container.state = ContainerState.EXITED

    ground.cli.at[Phase.ON_CREATE] = end
    async with ground.open() as devcontainers:
        with pytest.raises(DevContainerFailedError, match="exited at once"):
            await recreated(devcontainers)
        found = await only_one(devcontainers)
    assert (found.status, found.is_complete) == (Status.STOPPED, False)
    assert list(states(ground).values()) == [ContainerState.EXITED]


def nothing() -> None: ...


def make_privileged(ground: DevGround) -> None:
    """What an image's metadata can do behind the back of the check."""
    for container in ground.engine.containers.values():
        container.spec = replace(container.spec, is_privileged=True)


async def test_a_compose_service_that_is_more_than_allowed_is_removed_with_what_was_made(ground: DevGround) -> None:
    ground.definitions.write(SHOP, {"dockerComposeFile": "compose.yaml", "service": "app"})
    ground.cli.sidecars = ("db", "cache")

    def make_one_privileged() -> None:
        for container in ground.engine.containers.values():
            if container.spec.name == "shop_db_1":
                container.spec = replace(container.spec, is_privileged=True)

    ground.cli.at[Phase.POST_START] = make_one_privileged
    async with ground.open() as devcontainers:
        with pytest.raises(ForbiddenError, match="privileged"):
            await recreated(devcontainers)
    assert list(states(ground)) == ["shop_cache_1"]


async def test_a_start_that_the_engine_refuses_makes_no_container_incomplete(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        assert made is not None
        await ground.engine.stop(made, 1)
        ground.cli.fails[Phase.CREATE] = "port 8080 is taken"
        with pytest.raises(DevContainerFailedError, match="port 8080 is taken"):
            await recreated(devcontainers)
        found = await only_one(devcontainers)
        assert (found.status, found.container, found.is_complete) == (Status.STOPPED, made, True)
        assert "port 8080 is taken" in found.error
        ground.cli.fails.clear()
        done = await recreated(devcontainers)  # which must not make it anew: no hook failed
    assert (done.change, done.devcontainer.container, done.devcontainer.error) == ("started", made, "")


async def test_a_start_whose_hook_fails_leaves_it_incomplete(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        assert made is not None
        await ground.engine.stop(made, 1)
        ground.cli.fails[Phase.POST_START] = "postStartCommand failed with exit code 3"
        done = await recreated(devcontainers)
    assert (done.change, done.devcontainer.is_complete) == ("started", False)


async def test_a_start_that_could_not_begin_leaves_what_was_known(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        assert made is not None
        await ground.engine.stop(made, 1)

        def vanish() -> None:
            raise CliMissingError("the dev container CLI is there no more")

        ground.cli.at[Phase.RESOLVE] = vanish
        with pytest.raises(CliMissingError):
            await recreated(devcontainers)
        found = await only_one(devcontainers)
    assert (found.container, found.is_complete, found.error) == (made, True, "")


async def test_an_up_that_fails_over_the_old_container_does_not_pass_it_off_as_the_new_one(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        ground.definitions.write(SHOP, {"image": "img:1"}, Dockerfile="FROM img:1\nRUN true")
        ground.cli.keeps_old = "removal of the container is already in progress"
        with pytest.raises(DevContainerFailedError, match=r"already in progress.*the old one is there"):
            await recreated(devcontainers)
        found = await only_one(devcontainers)
    assert (found.container, found.is_complete) == (made, True)
    assert found.verdict is not None
    assert found.verdict.freshness is Freshness.DIRTY


async def test_a_swap_that_is_given_up_when_the_old_container_is_gone_makes_the_new_one_first(
    ground: DevGround, virtual_time: None
) -> None:
    async with ground.open(JobBounds(deadline_s=30)) as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        ground.cli.gates[Phase.CREATE] = gate = anyio.Event()
        ground.cli.gates[Phase.ON_CREATE] = anyio.Event()

        async def go_on() -> None:
            await anyio.sleep(34)
            assert [*ground.engine.containers] == [made]  # it has made way, and is there still
            gate.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(go_on)
            with pytest.raises(Exception, match="did not end within 30 s"):
                await recreated(devcontainers, FORCE)
        found = await only_one(devcontainers)
    assert (found.status, found.is_complete) == (Status.RUNNING, False)
    assert found.container not in (None, made)


async def test_a_swap_that_hangs_is_not_waited_for_for_ever(ground: DevGround, virtual_time: None) -> None:
    async with ground.open(JobBounds(deadline_s=30)) as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        ground.cli.gates[Phase.CREATE] = anyio.Event()
        began = anyio.current_time()
        with pytest.raises(Exception, match="did not end within 30 s"):
            await recreated(devcontainers, FORCE)
        assert anyio.current_time() - began < 60
        found = await only_one(devcontainers)
    assert (found.status, found.container, found.error) == (Status.RUNNING, made, "")


async def test_a_cli_that_goes_before_the_swap_is_said_and_the_old_container_is_there(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container

        def vanish() -> None:
            raise CliMissingError("the dev container CLI is there no more")

        ground.cli.at[Phase.RESOLVE] = vanish
        with pytest.raises(CliMissingError):
            await recreated(devcontainers, FORCE)
        found = await only_one(devcontainers)
    assert (found.container, found.is_complete, found.error) == (made, True, "")


async def test_a_definition_that_no_search_finds_can_be_named_by_its_folder(ground: DevGround) -> None:
    ground.definitions.hidden.add(SHOP)
    async with ground.open() as devcontainers:
        assert (await devcontainers.list()).devcontainers == ()
        would = await devcontainers.recreate(BY_FOLDER, RecreateAsk(is_dry_run=True), unheard)
        assert isinstance(would, Recreated)
        assert would.change == "created"
        assert (await recreated(devcontainers)).change == "created"
        await devcontainers.remove("shop", unheard)
        assert (await only_one(devcontainers)).status is Status.ABSENT
        ground.definitions.delete(SHOP)
        assert (await devcontainers.list(is_fresh=True)).devcontainers == ()


async def test_what_the_machine_lacks_is_said_and_is_no_failure(ground: DevGround) -> None:
    ground.definitions.write(SHOP, {"image": "img:1", "hostRequirements": {"cpus": 4096}})
    async with ground.open() as devcontainers:
        would = await recreated(devcontainers, RecreateAsk(is_dry_run=True))
        done = await recreated(devcontainers)
    assert would.warnings == done.warnings
    assert "4096 CPUs" in done.warnings[0]
    assert done.change == "created"


async def test_each_own_step_is_further_than_the_last_one_so_that_clients_are_told(ground: DevGround) -> None:
    told: dict[str, float] = {}

    async def report(phase: str, fraction: float) -> None:
        told.setdefault(phase, fraction)

    async with ground.open() as devcontainers:
        await devcontainers.recreate(BY_FOLDER, RecreateAsk(), report)
    assert told["waiting for its folder"] < told["reading the configuration"]


async def test_what_is_said_while_it_is_made_can_be_read_then_and_afterwards(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        with pytest.raises(NotFoundError, match="no build log of dev container 'shop'"):
            await devcontainers.log("shop")
        ground.cli.gates[Phase.POST_CREATE] = anyio.Event()
        said, last = list[str](), ""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recreated, devcontainers)
            await ground.cli.reached[Phase.POST_CREATE].wait()
            *said, last = (await devcontainers.log("shop")).lines
            assert (said[1], last) == ("== reading the configuration", "postCreateCommand: working")
            tasks.cancel_scope.cancel()
        await anyio.wait_all_tasks_blocked()  # it is given up by then: nobody waits for it
        assert (await devcontainers.log("shop")).lines == (*said, last, "== cut short")
        del ground.cli.gates[Phase.POST_CREATE]
        ground.cli.fails[Phase.CREATE] = "exit code 7"
        with pytest.raises(DevContainerFailedError):
            await recreated(devcontainers, FORCE)
        last = (await devcontainers.log("shop")).lines[-1]
        assert last.startswith("== dev container 'shop' failed: exit code 7")
        del ground.cli.fails[Phase.CREATE]
        await recreated(devcontainers, FORCE)
        made = await devcontainers.log("shop")
        assert made.lines[-1] == "== done"
        assert (await recreated(devcontainers)).change == "none"
        await recreated(devcontainers, RecreateAsk(is_dry_run=True, force=True))
        assert await devcontainers.log("shop") == made  # nothing was made since
    assert ground.logged >= 10


async def test_a_log_has_the_last_lines_and_says_how_many_were_before(ground: DevGround) -> None:
    logs = BuildLogs(lambda: datetime(2026, 11, 20, tzinfo=UTC), lambda: None)
    with logs.run(SHOP) as write:
        write([f"line {number}" for number in range(5000)])
        write(["last"])
    log = logs.of(SHOP)
    assert log is not None
    assert (len(log.lines), log.dropped) == (2000, 5003 - 2000)
    assert log.lines[-3:] == ("line 4999", "last", "== done")
    for number in range(20):
        with logs.run(replace(SHOP, config=f"{number}.json")):
            pass
    assert logs.of(SHOP) is None
