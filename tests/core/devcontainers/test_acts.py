"""Starts, stops and removals: a compose project as one, errors kept, nothing half done by a caller that goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest
from support.kept_ground import SHOP, DevGround, only_one, others_container, recreated, states, unheard

from ws_mcp.core.devcontainers.allowances import Allowances
from ws_mcp.core.devcontainers.ground import lock_of
from ws_mcp.core.devcontainers.model import Acted, Phase, RecreateAsk, Status, Target
from ws_mcp.core.devcontainers.port import CliMissingError
from ws_mcp.core.devcontainers.service import DevContainers
from ws_mcp.core.engine.model import ContainerState
from ws_mcp.core.errors import ConflictError, EngineError, ForbiddenError, JobCancelledError, NotFoundError
from ws_mcp.core.job import StillRunning

pytestmark = pytest.mark.anyio

AFTER = {"stop": Status.STOPPED, "remove": Status.ABSENT, "start": Status.RUNNING}
RUNS, ENDED = ContainerState.RUNNING, ContainerState.EXITED


@pytest.fixture
def ground() -> DevGround:
    made = DevGround()
    made.definitions.write(SHOP, {"image": "img:1"})
    return made


@pytest.fixture
def composed(ground: DevGround) -> DevGround:
    ground.definitions.write(SHOP, {"dockerComposeFile": "compose.yaml", "service": "app"})
    ground.cli.sidecars = ("cache", "db")
    return ground


async def test_one_is_stopped_started_and_removed(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        stopped = await acted(devcontainers, "stop")
        assert stopped.devcontainer is not None
        assert stopped.devcontainer.status is Status.STOPPED
        started = await acted(devcontainers, "start")
        assert started.devcontainer is not None
        assert (started.devcontainer.status, started.devcontainer.container) == (Status.RUNNING, made)
        assert ground.cli.calls[-1].is_expecting  # so that the hooks of a start run
        removed = await acted(devcontainers, "remove")
        assert removed.devcontainer is not None
        assert (removed.devcontainer.status, removed.devcontainer.container) == (Status.ABSENT, None)
    assert ground.engine.containers == {}


async def test_a_stop_and_a_removal_say_how_many_processes_that_ended(ground: DevGround) -> None:
    ground.processes = 3
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        await devcontainers.resolve("shop")  # execd is there
        assert (await acted(devcontainers, "stop")).ended_processes == 3
        # There is none in a container that does not run.
        assert (await acted(devcontainers, "remove")).ended_processes is None
        await recreated(devcontainers)
        await devcontainers.resolve("shop")
        ground.processes = None
        assert (await acted(devcontainers, "remove")).ended_processes is None


async def test_nothing_is_left_of_one_without_a_definition(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        ground.definitions.delete(SHOP)
        assert (await acted(devcontainers, "remove")).devcontainer is None
    assert ground.engine.containers == {}


async def test_a_compose_project_is_one_thing(composed: DevGround) -> None:
    labels = {"com.docker.compose.project": "shop_devcontainer"}
    async with composed.open() as devcontainers:
        await recreated(devcontainers)
        await composed.engine.create_network("shop_devcontainer_default", labels, is_internal=False)
        await composed.engine.create_volume("shop_devcontainer_data", labels)
        await acted(devcontainers, "stop")
        assert set(states(composed).values()) == {ENDED}
        assert [c for c in composed.engine.calls if c in ("stop", "start")][-3:] == ["stop"] * 3
        await acted(devcontainers, "remove")
    assert (composed.engine.containers, composed.engine.networks) == ({}, {})
    assert list(composed.engine.volumes) == ["shop_devcontainer_data"]


async def test_who_depends_on_others_is_stopped_first_and_started_last(composed: DevGround) -> None:
    async with composed.open() as devcontainers:
        await recreated(devcontainers)
        await acted(devcontainers, "stop")
        ended = {name: c.finished_at for c in composed.engine.containers.values() for name in [c.spec.name]}
        app = next(name for name in ended if name.startswith("shop-"))
        assert min(ended, key=lambda name: str(ended[name])) == app
        composed.cli.missing = CliMissingError("no CLI here")
        await acted(devcontainers, "start")
        began = {c.spec.name: str(c.started_at) for c in composed.engine.containers.values()}
        assert max(began, key=lambda name: began[name]) == app


@pytest.mark.parametrize("why", ["no definition", "half written", "no CLI", "not allowed"])
async def test_what_cannot_be_started_by_the_cli_is_started_as_it_is_and_that_is_said(
    ground: DevGround, why: str
) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        await acted(devcontainers, "stop")
    ground.allowances = Allowances()
    if why == "no definition":
        ground.definitions.delete(SHOP)
    elif why == "half written":
        ground.definitions.write(SHOP, '{"image')
    elif why == "no CLI":
        ground.cli.missing = CliMissingError("there is no dev container CLI here")
    else:
        ground.definitions.write(SHOP, {"image": "img:1", "initializeCommand": "touch /tmp/marker"})
    calls = len(ground.cli.calls)
    async with ground.open() as devcontainers:
        done = await acted(devcontainers, "start")
    assert "without the hooks" in done.warnings[0]
    assert list(states(ground).values()) == [RUNS]
    assert len(ground.cli.calls) == calls


async def test_what_is_more_than_allowed_is_not_started(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        container = await others_container(ground)
        await ground.engine.stop(container, 1)
        found = ground.engine.containers[container]
        object.__setattr__(found.spec, "is_privileged", True)
        ground.definitions.delete(SHOP)
        with pytest.raises(ForbiddenError, match="privileged"):
            await acted(devcontainers, "start")
    assert list(states(ground).values()) == [ENDED]


@pytest.mark.parametrize("verb", ["stop", "remove", "start"])
async def test_one_that_is_not_there_is_not_found_or_has_no_container(ground: DevGround, verb: str) -> None:
    async with ground.open() as devcontainers:
        with pytest.raises(NotFoundError, match="this server has no dev container 'nope'; it has: shop"):
            await acted(devcontainers, verb, "nope")
        with pytest.raises(ConflictError, match="no container"):
            await acted(devcontainers, verb)


@pytest.mark.parametrize(("verb", "call"), [("stop", "stop"), ("remove", "stop"), ("remove", "remove")])
async def test_what_fails_is_kept_as_its_error_until_it_goes_well(ground: DevGround, verb: str, call: str) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        ground.engine.fail_next(call, EngineError("the engine would not"))
        with pytest.raises(EngineError, match="would not"):
            await acted(devcontainers, verb)
        found = await only_one(devcontainers)
        assert "the engine would not" in found.error
        assert found.status in (Status.RUNNING, Status.STOPPED)
        await acted(devcontainers, "remove")
        assert (await only_one(devcontainers)).error == ""


async def test_while_something_is_done_to_one_everything_else_is_refused(ground: DevGround) -> None:
    gate = anyio.Event()
    async with ground.open() as devcontainers, anyio.create_task_group() as tasks:
        await recreated(devcontainers)
        original = ground.engine.stop

        async def slow_stop(container: object, grace_s: float) -> None:
            await gate.wait()
            await original(container, grace_s)  # pyright: ignore[reportArgumentType] - as it was called

        ground.engine.stop = slow_stop  # pyright: ignore[reportAttributeAccessIssue] - the fake has no gate of its own
        tasks.start_soon(acted, devcontainers, "stop")
        await anyio.wait_all_tasks_blocked()
        assert (await only_one(devcontainers)).status is Status.STOPPING
        for verb in ("remove", "start"):
            with pytest.raises(ConflictError, match="shop"):
                await acted(devcontainers, verb)
        with pytest.raises(ConflictError, match="stopping"):
            await devcontainers.resolve("shop")
        gate.set()


async def test_another_servers_recreate_refuses_what_is_short(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        ground.locks.held.add(lock_of(SHOP))
        with pytest.raises(ConflictError, match="another ws-mcp"):
            await acted(devcontainers, "stop")
    assert list(states(ground).values()) == [RUNS]


async def test_a_caller_that_goes_leaves_nothing_half_done(composed: DevGround) -> None:
    async with composed.open() as devcontainers:
        await recreated(devcontainers)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(acted, devcontainers, "remove")
            while len(composed.engine.containers) == 3:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await acted(devcontainers, "remove") if composed.engine.containers else None
        assert composed.engine.containers == {}


async def test_a_duplicate_is_removed_by_its_own_name(ground: DevGround) -> None:
    await others_container(ground, name="old")
    new = await others_container(ground, name="new")
    async with ground.open() as devcontainers:
        done = await acted(devcontainers, "remove", "old")
        found = await only_one(devcontainers)
    assert (done.containers, found.container, found.status) == (("old",), new, Status.RUNNING)
    assert list(states(ground)) == ["new"]


async def test_a_stop_while_the_engine_is_away_says_that(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        await ground.engine.go_down()
        with pytest.raises(EngineError, match="no container engine answers"):
            await acted(devcontainers, "stop")


def acts(devcontainers: DevContainers) -> dict[str, Callable[..., Awaitable[Acted | StillRunning]]]:
    """What can be done to one, by how a test calls it; who restarts what is stopped starts it."""
    return {"start": devcontainers.restart, "stop": devcontainers.stop, "remove": devcontainers.remove}


async def acted(devcontainers: DevContainers, verb: str, name: str = "shop") -> Acted:
    """The answer to a start, a stop or a removal that must not take long."""
    done = await acts(devcontainers)[verb](name, unheard)
    assert isinstance(done, Acted)
    return done


@pytest.mark.parametrize("what", ["stop", "remove", "start"])
async def test_who_was_told_to_come_back_is_told_what_it_came_to(ground: DevGround, what: str) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        if what == "start":
            await acted(devcontainers, "stop")
        assert isinstance(await acts(devcontainers)[what]("shop", unheard, wait_s=0), StillRunning)
        with anyio.fail_after(5):
            while (await only_one(devcontainers, is_fresh=True)).status is not AFTER[what] or ground.locks.held:
                await anyio.lowlevel.checkpoint()
        done = await acted(devcontainers, what)
    assert done.devcontainer is not None
    assert done.devcontainer.status is AFTER[what]


async def test_a_stop_gives_up_what_is_made_and_the_old_container_stays(ground: DevGround) -> None:
    refusals: list[str] = []
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        ground.cli.gates[Phase.BUILD] = anyio.Event()

        async def remake() -> None:
            with pytest.raises(JobCancelledError) as refusal:
                await recreated(devcontainers, RecreateAsk(force=True))
            refusals.append(str(refusal.value))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(remake)
            await ground.cli.reached[Phase.BUILD].wait()
            await anyio.wait_all_tasks_blocked()
            done = await acted(devcontainers, "stop")
            assert done.devcontainer is not None
            assert (done.devcontainer.status, done.devcontainer.container) == (Status.RUNNING, made)
            assert "given up (building the image" in done.warnings[0]
            assert "stop_workspace again" in done.warnings[0]
        assert "given up" in refusals[0]
        stopped = await acted(devcontainers, "stop")
        assert stopped.devcontainer is not None
        assert stopped.devcontainer.status is Status.STOPPED
    assert ground.locks.held == set()


async def test_a_stop_in_a_hook_that_never_ends_leaves_an_incomplete_container(ground: DevGround) -> None:
    ground.cli.gates[Phase.POST_CREATE] = anyio.Event()
    async with ground.open() as devcontainers:
        waiting = await devcontainers.recreate(Target(folder=SHOP.folder), RecreateAsk(), unheard, wait_s=0)
        assert isinstance(waiting, StillRunning)
        await ground.cli.reached[Phase.POST_CREATE].wait()
        done = await acted(devcontainers, "stop")
        assert done.devcontainer is not None
        assert (done.devcontainer.status, done.devcontainer.is_complete) == (Status.RUNNING, False)
        ground.cli.gates.clear()
        again = await recreated(devcontainers)  # what was given up is no answer to that
    assert (again.change, again.devcontainer.is_complete) == ("recreated", True)


async def test_a_stop_that_is_repeated_does_not_give_up_itself(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        assert isinstance(await devcontainers.stop("shop", unheard, wait_s=0), StillRunning)
        done = await acted(devcontainers, "stop")
    assert done.devcontainer is not None
    assert (done.devcontainer.status, done.warnings) == (Status.STOPPED, ())


async def test_a_restart_is_one_thing_whose_repeated_call_waits_on(ground: DevGround) -> None:
    ground.processes = 3
    async with ground.open() as devcontainers:
        made = (await recreated(devcontainers)).devcontainer.container
        await devcontainers.resolve("shop")  # execd is there
        assert isinstance(await devcontainers.restart("shop", unheard, wait_s=0), StillRunning)
        done = await devcontainers.restart("shop", unheard)
    assert isinstance(done, Acted)
    assert done.devcontainer is not None
    assert (done.devcontainer.status, done.devcontainer.container) == (Status.RUNNING, made)
    assert (done.ended_processes, done.warnings) == (3, ())
    assert [call for call in ground.engine.calls if call == "stop"] == ["stop"]


async def test_a_stop_gives_up_a_restart(ground: DevGround) -> None:
    async with ground.open() as devcontainers:
        await recreated(devcontainers)
        ground.cli.gates[Phase.POST_START] = anyio.Event()
        assert isinstance(await devcontainers.restart("shop", unheard, wait_s=0), StillRunning)
        await ground.cli.reached[Phase.POST_START].wait()
        assert "given up" in (await acted(devcontainers, "stop")).warnings[0]
