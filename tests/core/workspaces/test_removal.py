"""Removals and repairs where a second thing goes wrong: what is whole stays, and what is said is so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.workspace_ground import MAIN, NEW, SPEC, an_engine, left_over, open_service
from support.workspace_values import SCOPE

from ws_mcp.core.clock import utc_now
from ws_mcp.core.engine.model import ContainerSpec, Image, VolumeMount
from ws_mcp.core.errors import EngineConflictError, EngineError, EngineUnavailableError, PlaceUnavailableError
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.state import open_state
from ws_mcp.core.workspaces.ledger import EngineObject, Intent, IntentKind, Ledger, ObjectKind
from ws_mcp.core.workspaces.model import Ask, Content, Replace, Workspace, WorkspaceState
from ws_mcp.core.workspaces.removal import Removal

pytestmark = pytest.mark.usefixtures("real_io")

ANEW = Ask(replace=Replace.ALWAYS)
OTHER = WorkspaceName("other")


def with_secret(value: str) -> Content:
    return Content(secrets={"TOKEN": value})


async def test_a_shared_network_stays_for_a_workspace_that_is_stopped(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        first = await service.made(replace(SPEC, network="team"))
        second = await service.made(replace(SPEC, name=OTHER, network="team"))
        await service.workspaces.stop(second)
        await service.workspaces.remove(first, keep_volume=False)
        assert (await service.provision(replace(SPEC, name=OTHER, network="team"))).change == "started"
        await service.workspaces.remove(second, keep_volume=False)
    assert await left_over(fake) == []


async def test_one_that_cannot_be_started_again_can_be_removed(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service, open_state(tmp_path / "state") as state:
        made = await service.made()
        await service.workspaces.stop(made)
        ledger = Ledger(state, utc_now)
        for error, is_tried_again in ((EngineUnavailableError("down"), True), (EngineError("no such folder"), False)):
            await ledger.begin(Intent(place=made.place, kind=IntentKind.PROVISION, objects=()))
            fake.fail_next("start", error)
            assert await service.workspaces.repair() == (0 if is_tried_again else 1)
            assert bool(await ledger.intents()) == is_tried_again
        assert [each.state for each in await service.workspaces.list(SCOPE)] == [WorkspaceState.STOPPED]
        await service.workspaces.remove(made, keep_volume=False)
    assert await left_over(fake) == []


async def test_a_new_container_that_could_not_be_taken_back_never_becomes_the_workspace(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service, open_state(tmp_path / "state") as state:
        old = await service.made(replace(SPEC, content=with_secret("old")))
        service.inside.refuses = PlaceUnavailableError("it does not answer")
        fake.fail_next("remove", EngineError("hung"))
        with pytest.raises(PlaceUnavailableError):
            await service.provision(replace(SPEC, content=with_secret("new")), ANEW)
        assert await service.workspaces.repair() == 1
        assert [(w.container, w.state) for w in await service.workspaces.list(SCOPE)] == [
            (old.container, WorkspaceState.RUNNING)
        ]
        assert len(fake.containers) == 1
        assert await Ledger(state, utc_now).secrets(old.place) == {"TOKEN": b"old"}


async def test_data_that_something_else_uses_is_not_said_to_be_removed(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        made = await service.made()
        mount = VolumeMount(volume=made.volume, target="/x")
        foreign = await fake.create(ContainerSpec(name="looks-at-it", image="img:1", mounts=(mount,)))
        with pytest.raises(EngineConflictError, match="was removed, but its data was not: something else uses volume"):
            await service.workspaces.remove(made, keep_volume=False)
        assert await service.workspaces.list(SCOPE) == ()
        assert await service.workspaces.repair() == 0
        await fake.remove(foreign)
        assert await service.workspaces.remove_data(SCOPE, MAIN)
    assert await left_over(fake) == []


async def test_a_stop_stops_what_is_there_when_its_turn_has_come(tmp_path: Path) -> None:
    async with open_service(an_engine(), tmp_path) as service:
        stale = await service.made()
        await service.provision(replace(SPEC, environment={"A": "1"}), ANEW)
        await service.workspaces.stop(stale)
        (now,) = await service.workspaces.list(SCOPE)
        assert (now.state, now.container != stale.container) == (WorkspaceState.STOPPED, True)


async def test_making_it_anew_for_the_same_user_leaves_the_top_of_its_data_as_that_user_made_it(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        await service.made(replace(SPEC, user="1000"))
        fake.add_image(Image(id=NEW, tags=("img:2",), architecture="amd64", command=("sleep", "inf")))
        for image, user, times in (("img:1", "1000", 0), ("img:1", "2000", 1), ("img:2", "2000", 1)):
            fake.calls.clear()
            made = await service.provision(replace(SPEC, image=image, user=user, environment={"A": user}), ANEW)
            assert made.change == "recreated"
            assert fake.calls.count("put_archive") == times


async def test_of_a_damaged_state_nothing_is_put_right(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service, open_state(tmp_path / "state") as state:
        made = await service.made()
        ledger = Ledger(state, utc_now)
        await ledger.begin(Intent(place=made.place, kind=IntentKind.REMOVE, objects=(_container(made),)))
        removal = Removal(fake, state, ledger)
        state._store.damage = "it is damaged"  # pyright: ignore[reportAttributeAccessIssue] - its owner finds it out
        assert await removal.repair_all() == 0
        assert len(await service.workspaces.list(SCOPE)) == 1
        state._store.damage = ""  # pyright: ignore[reportAttributeAccessIssue] - as above
        assert await removal.repair_all() == 1
        assert await service.workspaces.list(SCOPE) == ()


async def test_what_was_begun_on_one_engine_is_not_undone_on_another(tmp_path: Path) -> None:
    docker, podman = an_engine(), an_engine()
    async with open_service(docker, tmp_path) as service, open_service(podman, tmp_path) as other:
        made = await service.made()
        docker.fail_next("remove_volume", EngineError("no"))
        with pytest.raises(EngineError):
            await service.workspaces.remove(made, keep_volume=False)
        assert await other.workspaces.repair() == 0
        assert await left_over(docker) != []
        assert await service.workspaces.repair() == 1
    assert await left_over(docker) == []


def _container(made: Workspace) -> EngineObject:
    assert made.container is not None
    return EngineObject(kind=ObjectKind.CONTAINER, name=made.container)
