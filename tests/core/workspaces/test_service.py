"""Container workspaces on a fake engine: made whole or not at all, by one server or by several."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support.fake_engine import FakeEngine

from ws_mcp.core.engine.model import ContainerSpec, ContainerState, Image
from ws_mcp.core.errors import (
    ConflictError,
    EngineConflictError,
    EngineError,
    EngineUnavailableError,
    ImageNotFoundError,
    InvalidArgumentError,
    WsError,
)
from ws_mcp.core.ids import ChatId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.state import open_state
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import WorkspaceKind, WorkspaceSpec, WorkspaceState
from ws_mcp.core.workspaces.plan import Step
from ws_mcp.core.workspaces.service import ContainerWorkspaces

pytestmark = pytest.mark.usefixtures("real_io")

SCOPE = Scope(principal=PrincipalId("local:0"), chat=ChatId("c1"))
OTHER = Scope(principal=PrincipalId("local:0"), chat=ChatId("c2"))
MAIN = WorkspaceName("main")
SPEC = WorkspaceSpec(name=MAIN, kind=WorkspaceKind.CONTAINER, image="img:1")


async def quiet(_phase: str, _fraction: float) -> None: ...


def engine() -> FakeEngine:
    made = FakeEngine()
    made.add_image(Image(id="sha256:" + "1" * 64, tags=("img:1",), architecture="amd64", command=("sleep", "inf")))
    return made


@asynccontextmanager
async def open_service(fake: FakeEngine, path: Path) -> AsyncGenerator[ContainerWorkspaces]:
    async with open_state(path / "state") as state:
        yield ContainerWorkspaces(fake, state, keep_ended=100)


async def left_over(fake: FakeEngine) -> list[str]:
    """What carries a workspace's labels: containers, and volumes with data."""
    labels = {naming.WORKSPACE: ""}
    containers = [c.name for c in await fake.list_containers(labels)]
    return containers + [v.name for v in await fake.list_volumes(labels)]


async def test_a_workspace_is_made_once_and_found_again(tmp_path: Path) -> None:
    fake = engine()
    async with open_service(fake, tmp_path) as service:
        made, step = await service.provision(SCOPE, SPEC, quiet)
        again, nothing = await service.provision(SCOPE, SPEC, quiet)
    assert (step, nothing) == (Step.CREATE, Step.NOTHING)
    assert made == again
    assert made.state is WorkspaceState.RUNNING
    assert made.tier == 2
    assert len(await fake.list_containers({})) == 1


async def test_a_stopped_workspace_is_started_and_stays_the_same_container(tmp_path: Path) -> None:
    fake = engine()
    async with open_service(fake, tmp_path) as service:
        made, _ = await service.provision(SCOPE, SPEC, quiet)
        assert made.container is not None
        await fake.stop(made.container, 0)
        assert [w.state for w in await service.list(SCOPE)] == [WorkspaceState.STOPPED]
        again, step = await service.provision(SCOPE, replace(SPEC, image=""), quiet)
    assert step is Step.START
    assert again.container == made.container


async def test_two_chats_do_not_see_each_others_workspaces(tmp_path: Path) -> None:
    async with open_service(engine(), tmp_path) as service:
        mine, _ = await service.provision(SCOPE, SPEC, quiet)
        theirs, _ = await service.provision(OTHER, SPEC, quiet)
        assert mine.place != theirs.place
        assert [w.place for w in await service.list(SCOPE)] == [mine.place]
        assert await service.find(SCOPE, WorkspaceName("other")) is None


async def test_two_servers_at_once_make_one_container(tmp_path: Path) -> None:
    fake, steps = engine(), list[Step]()
    async with open_service(fake, tmp_path) as a, open_service(fake, tmp_path) as b:

        async def provision(service: ContainerWorkspaces) -> None:
            steps.append((await service.provision(SCOPE, SPEC, quiet))[1])

        async with anyio.create_task_group() as tasks:
            for service in (a, b, a, b, a, b):
                tasks.start_soon(provision, service)
    assert sorted(steps) == [Step.CREATE, *[Step.NOTHING] * 5]
    assert len(await fake.list_containers({})) == 1


@pytest.mark.parametrize(
    "call",
    ["info", "inspect", "image", "inspect_volume", "create_volume", "create", "put_archive", "start", "remove"],
)
async def test_a_call_that_fails_leaves_the_workspace_whole_or_absent(tmp_path: Path, call: str) -> None:
    fake = engine()
    async with open_service(fake, tmp_path) as service:
        fake.fail_next(call, EngineError("no"))
        try:
            await service.provision(SCOPE, SPEC, quiet)
        except WsError:
            assert await left_over(fake) == []
        made, _ = await service.provision(SCOPE, SPEC, quiet)
        assert made.state is WorkspaceState.RUNNING
    assert len(await fake.list_containers({})) == 1


async def test_a_caller_that_stops_waiting_leaves_nothing_half_made(tmp_path: Path) -> None:
    fake = engine()
    async with open_service(fake, tmp_path) as service:
        await service.provision(OTHER, SPEC, quiet)
        before = await left_over(fake)
        fake.hang_next("start")
        with anyio.move_on_after(0.2) as scope:
            await service.provision(SCOPE, SPEC, quiet)
        assert scope.cancelled_caught
        assert await left_over(fake) == before


async def test_what_a_killed_server_left_half_made_is_made_anew(tmp_path: Path) -> None:
    fake = engine()
    async with open_service(fake, tmp_path) as service:
        made, _ = await service.provision(SCOPE, SPEC, quiet)
        found = await fake.inspect(made.place)
        await fake.remove(found.id)
        half = ContainerSpec(name=made.place, image="img:1", labels=found.labels)
        assert (await fake.inspect(await fake.create(half))).state is ContainerState.CREATED
        again, step = await service.provision(SCOPE, replace(SPEC, image=""), quiet)
    assert step is Step.REPLACE
    assert again.state is WorkspaceState.RUNNING


async def test_a_foreign_container_of_the_same_name_is_left_alone(tmp_path: Path) -> None:
    fake = engine()
    async with open_service(fake, tmp_path) as service:
        made, _ = await service.provision(SCOPE, SPEC, quiet)
        labels = (await fake.inspect(made.place)).labels
        await service.remove(made, keep_volume=False)
        copied = {**labels, naming.TIER: "1"}
        await fake.create(ContainerSpec(name=made.place, image="img:1", labels=copied))
        with pytest.raises(ConflictError, match="did not make"):
            await service.provision(SCOPE, SPEC, quiet)
        assert await service.list(SCOPE) == ()
        assert await service.find(SCOPE, MAIN) is None
    assert (await fake.inspect(made.place)).labels == copied


async def test_a_foreign_volume_of_the_same_name_is_refused(tmp_path: Path) -> None:
    fake = engine()
    async with open_service(fake, tmp_path) as service:
        place = service.place(SCOPE, MAIN)
        await fake.create_volume(naming.volume_name(place), {})
        with pytest.raises(EngineConflictError, match="did not make"):
            await service.provision(SCOPE, SPEC, quiet)
        assert [v.name for v in await fake.list_volumes({})].count(naming.volume_name(place)) == 1
        assert await fake.list_containers({}) == ()


async def test_removal_keeps_the_data_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    fake = engine()
    async with open_service(fake, tmp_path) as service:
        made, _ = await service.provision(SCOPE, SPEC, quiet)
        assert await service.remove(made, keep_volume=True) == made.volume
        assert await left_over(fake) == [made.volume]
        again, step = await service.provision(SCOPE, SPEC, quiet)
        assert step is Step.CREATE
        assert await service.remove(again, keep_volume=False) == ""
    assert await left_over(fake) == []


async def test_a_caller_that_stops_waiting_does_not_leave_data_without_its_container(tmp_path: Path) -> None:
    fake = engine()
    async with open_service(fake, tmp_path) as service:
        made, _ = await service.provision(SCOPE, SPEC, quiet)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await service.remove(made, keep_volume=False)
        assert await left_over(fake) in ([], [made.place, made.volume])
        made, _ = await service.provision(SCOPE, SPEC, quiet)
        fake.fail_next("remove_volume", EngineError("no"))
        with pytest.raises(EngineError):
            await service.remove(made, keep_volume=False)
        assert await left_over(fake) == [made.volume]
        assert await service.remove_data(SCOPE, MAIN)
        assert not await service.remove_data(SCOPE, MAIN)
    assert await left_over(fake) == []


async def test_a_missing_image_is_an_error_before_anything_is_made(tmp_path: Path) -> None:
    fake = engine()
    async with open_service(fake, tmp_path) as service:
        with pytest.raises(ImageNotFoundError, match="nope:1"):
            await service.provision(SCOPE, replace(SPEC, image="nope:1"), quiet)
    assert await left_over(fake) == []


async def test_a_new_workspace_without_an_image_is_told_which_there_are(tmp_path: Path) -> None:
    async with open_service(engine(), tmp_path) as service:
        with pytest.raises(InvalidArgumentError, match="img:1"):
            await service.provision(SCOPE, replace(SPEC, image=""), quiet)


async def test_an_engine_that_is_down_is_not_an_empty_list(tmp_path: Path) -> None:
    fake = engine()
    async with open_service(fake, tmp_path) as service:
        await service.provision(SCOPE, SPEC, quiet)
        await fake.go_down()
        with pytest.raises(EngineUnavailableError):
            await service.list(SCOPE)
        fake.come_back()
        assert len(await service.list(SCOPE)) == 1


async def test_another_instance_is_blind_to_ours(tmp_path: Path) -> None:
    fake = engine()
    async with open_service(fake, tmp_path / "a") as a, open_service(fake, tmp_path / "b") as b:
        mine, _ = await a.provision(SCOPE, SPEC, quiet)
        theirs, _ = await b.provision(SCOPE, SPEC, quiet)
        assert mine.place != theirs.place
        assert [w.place for w in await b.list(SCOPE)] == [theirs.place]


async def test_execd_is_brought_to_the_engine_once(tmp_path: Path) -> None:
    fake = engine()
    async with open_service(fake, tmp_path) as service:
        await service.provision(SCOPE, SPEC, quiet)
        await service.provision(OTHER, SPEC, quiet)
    volumes = [v.name for v in await fake.list_volumes({}) if v.name.startswith("wsmcp-execd-")]
    assert len(volumes) == 1
    assert fake.calls.count("put_archive") == 1
