"""Container workspaces on a fake engine: made whole or not at all, by one server or by several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support.fake_engine import FakeEngine
from support.workspace_ground import MAIN, NEW, OLD, SPEC, FakeInside, Service, an_engine, left_over, open_service
from support.workspace_values import SCOPE

from ws_mcp.core.clock import utc_now
from ws_mcp.core.engine.model import ContainerSpec, Image
from ws_mcp.core.errors import (
    ConflictError,
    EngineConflictError,
    EngineError,
    EngineTimeoutError,
    EngineUnavailableError,
    ForbiddenError,
    ImageNotFoundError,
    InvalidArgumentError,
    LimitError,
    PlaceUnavailableError,
)
from ws_mcp.core.host.model import HostFolder
from ws_mcp.core.ids import ChatId, ContainerId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.state import open_state
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.model import Ask, Content, Replace, Sizes, Workspace, WorkspaceState
from ws_mcp.core.workspaces.removal import Removal
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.core.workspaces.service import BUILDS

pytestmark = pytest.mark.usefixtures("real_io")

OTHER = Scope(principal=PrincipalId("local:0"), chat=ChatId("c2"))


async def test_asking_twice_makes_one_and_the_second_time_asks_the_engine_twice(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        first = await service.provision()
        fake.calls.clear()
        again = await service.provision()
    assert (first.change, again.change) == ("created", "none")
    assert first.workspace == again.workspace
    assert fake.calls == ["inspect", "image"]
    assert len(await fake.list_containers({})) == 1


async def test_a_stopped_workspace_is_started_and_stays_the_same_container(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        made = await service.made()
        await service.workspaces.stop(made)
        assert [w.state for w in await service.workspaces.list(SCOPE)] == [WorkspaceState.STOPPED]
        again = await service.provision(replace(SPEC, image=""))
    assert again.change == "started"
    assert again.workspace is not None
    assert again.workspace.container == made.container
    assert service.inside.prepared == [True, True]


async def test_what_was_stopped_stays_so_though_its_provision_was_cut_short_at_the_last_call(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        await service.provision()
        fake.fail_next("remove", EngineError("no"))  # of the container before it
        made = (await service.provision(replace(SPEC, environment={"A": "1"}), Ask(replace=Replace.ALWAYS))).workspace
        assert made is not None
        await service.workspaces.stop(made)
        await service.workspaces.repair()
        assert [(w.state, w.container) for w in await service.workspaces.list(SCOPE)] == [
            (WorkspaceState.STOPPED, made.container)
        ]
        assert len(await fake.list_containers({})) == 1


async def test_what_is_left_open_stays_as_it_was_made(tmp_path: Path) -> None:
    wish = replace(SPEC, tier=1, environment={"A": "1"}, sizes=Sizes(memory_mib=100), content=Content(files={"a": "1"}))
    async with open_service(an_engine(), tmp_path) as service:
        await service.provision(wish)
        assert (await service.provision(replace(SPEC, image=""))).change == "none"
        changed = await service.provision(replace(SPEC, environment={"A": "2"}))
        assert changed.change == "recreated"
        assert changed.reasons == ("environment changed",)
        again = await service.made(replace(SPEC, image=""))
    assert again.tier == 1
    assert again.limits.memory_bytes == 100 << 20


async def test_a_tier_has_no_more_cpus_than_there_are_unless_somebody_asks_for_them(tmp_path: Path) -> None:
    rules = WorkspaceRules(max_tier=4)
    async with open_service(an_engine(), tmp_path, rules) as service:  # whose machine has 2
        made = await service.made(replace(SPEC, tier=4))
        assert made.limits.cpus == 2.0
        assert (await service.provision()).change == "none"
        asked = await service.made(replace(SPEC, name=WorkspaceName("asked"), tier=4, sizes=Sizes(cpus=3.0)))
        assert asked.limits.cpus == 3.0


async def test_a_tier_that_is_not_granted_is_refused_before_the_engine_is_asked(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        fake.calls.clear()
        with pytest.raises(ForbiddenError, match="tier 3 is not granted"):
            await service.provision(replace(SPEC, tier=3))
    assert fake.calls == []


async def test_two_chats_do_not_see_each_others_workspaces(tmp_path: Path) -> None:
    async with open_service(an_engine(), tmp_path) as service:
        mine, theirs = await service.made(), await service.made(scope=OTHER)
        assert mine.place != theirs.place
        assert [w.place for w in await service.workspaces.list(SCOPE)] == [mine.place]
        assert await service.workspaces.find(SCOPE, WorkspaceName("other")) is None


async def test_two_servers_at_once_make_one_container(tmp_path: Path) -> None:
    fake, changes = an_engine(), list[str]()
    async with open_service(fake, tmp_path) as a, open_service(fake, tmp_path) as b:

        async def provision(service: Service) -> None:
            changes.append((await service.provision()).change)

        async with anyio.create_task_group() as tasks:
            for service in (a, b, a, b, a, b):
                tasks.start_soon(provision, service)
    assert sorted(changes) == ["created", *["none"] * 5]
    assert len(await fake.list_containers({})) == 1


class YoungVolumes(FakeEngine):
    """Docker's volumes are as old as the last change of their top directory."""

    async def put_archive(self, container: ContainerId, path: str, tar: bytes) -> None:
        await super().put_archive(container, path, tar)
        for kept in self.volumes.values():
            kept.volume = replace(kept.volume, created_at=f"{kept.volume.created_at} and later")


async def test_execd_is_brought_to_an_engine_once(tmp_path: Path) -> None:
    fake = YoungVolumes()
    fake.add_image(Image(id=OLD, tags=("img:1",), architecture="amd64", command=("sleep", "inf")))
    async with open_service(fake, tmp_path) as service:
        await service.provision()
        fake.calls.clear()
        await service.provision(replace(SPEC, name=WorkspaceName("other")))
    assert "put_archive" not in fake.calls


class Crowd(FakeInside):
    """Whoever is made ready waits for the others; `most`: how many were at it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self._there = 0
        self._full = anyio.Event()

    async def prepare(self, workspace: Workspace, *, folder: HostFolder | None, is_fresh: bool) -> None:
        self._there += 1
        self.most = max(self.most, self._there)
        if self._there >= BUILDS:
            self._full.set()
        with anyio.move_on_after(1):
            await self._full.wait()
        await anyio.wait_all_tasks_blocked()  # whoever else could come would be here now
        self._there -= 1
        await super().prepare(workspace, folder=folder, is_fresh=is_fresh)


async def test_many_at_once_are_made_a_few_at_a_time_and_all_get_their_turn(tmp_path: Path) -> None:
    fake, inside = an_engine(), Crowd()
    async with open_service(fake, tmp_path, WorkspaceRules(workspaces=50), inside) as service:
        async with anyio.create_task_group() as tasks:
            for number in range(3 * BUILDS):
                spec = replace(SPEC, name=WorkspaceName(f"w{number}"))
                tasks.start_soon(service.provision, spec)
        assert len(await service.workspaces.list(SCOPE)) == 3 * BUILDS
    assert inside.most == BUILDS


async def test_a_new_workspace_is_made_with_few_calls_however_many_there_are(tmp_path: Path) -> None:
    fake = an_engine()
    asked: list[list[str]] = []
    async with open_service(fake, tmp_path) as service:
        for name in ("first", "second", "third"):
            fake.calls.clear()
            await service.provision(replace(SPEC, name=WorkspaceName(name)))
            asked.append(list(fake.calls))
    assert asked[1] == asked[2]
    assert asked[1].count("create") == 1  # no container through which files are moved
    assert asked[1].count("image") == 2  # before the lock and under it


async def test_a_tag_that_moved_is_a_reason_and_ends_no_process(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        made = await service.made()
        fake.add_image(Image(id=NEW, tags=("img:1",), architecture="amd64", command=("sleep", "inf")))
        service.inside.runs = 2
        kept = await service.provision(replace(SPEC, image=""))
        assert kept.change == "none"
        assert "means another image now" in kept.reasons[0]
        service.inside.runs = 0
        fresh = await service.provision(replace(SPEC, image=""))
    assert fresh.change == "recreated"
    assert fresh.workspace is not None
    assert fresh.workspace.container != made.container
    assert (await fake.inspect(made.place)).image_id == NEW


async def test_a_wish_that_would_end_processes_has_to_say_so(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        await service.provision()
        service.inside.runs = 3
        before = await left_over(fake)
        with pytest.raises(ConflictError, match="3 processes run"):
            await service.provision(replace(SPEC, tier=1))
        assert await left_over(fake) == before
        done = await service.provision(replace(SPEC, tier=1), Ask(replace=Replace.ALWAYS))
    assert done.workspace is not None
    assert done.workspace.tier == 1


async def test_making_anew_keeps_the_data_and_nothing_else_of_the_old_one(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        made = await service.made(replace(SPEC, content=Content(files={"a.txt": "1"})))
        await service.provision(replace(SPEC, content=Content(files={"a.txt": "2"})))
        names = await left_over(fake)
    assert names.count(made.place) == 1
    assert made.volume in names
    assert len([name for name in names if "-configs-" in name]) == 1
    assert len(names) == 4  # with the network


async def test_a_container_that_somebody_removed_leaves_nothing_beside_the_one_that_is_made_then(
    tmp_path: Path,
) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        made = await service.made(replace(SPEC, content=Content(files={"a.txt": "1"})))
        assert made.container is not None
        await fake.remove(made.container)
        await service.provision(replace(SPEC, content=Content(files={"a.txt": "2"}), network="team"))
        names = await left_over(fake)
    assert len([name for name in names if "-configs-" in name]) == 1
    assert naming.own_network_name(made.place) not in names
    assert len(names) == 4


async def test_a_new_container_that_does_not_answer_gives_its_place_back(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        made = await service.made()
        before = await left_over(fake)
        service.inside.refuses = PlaceUnavailableError("its execd does not answer")
        with pytest.raises(PlaceUnavailableError):
            await service.provision(replace(SPEC, tier=1))
        assert await left_over(fake) == before
        there = await service.workspaces.find(SCOPE, MAIN)
    assert there is not None
    assert (there.container, there.state, there.tier) == (made.container, WorkspaceState.RUNNING, 2)


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    fake = an_engine()
    wish = replace(SPEC, environment={"TOKEN": "s3cret"})
    async with open_service(fake, tmp_path) as service:
        told = await service.provision(wish, Ask(is_dry_run=True))
        assert (told.change, told.workspace) == ("created", None)
        assert told.request is not None
        assert told.request["Image"] == "img:1"
        assert "s3cret" not in repr(told)
        assert naming.verifier_of("") not in repr(told)
        assert await left_over(fake) == []
        await service.provision(wish)
        told = await service.provision(replace(SPEC, tier=1), Ask(is_dry_run=True))
        assert (told.change, told.reasons[0]) == ("recreated", "tier is 2, not 1")
        assert (await service.provision(wish)).change == "none"


async def test_a_request_key_stands_for_one_request(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as one:
        await one.provision(ask=Ask(request_key="k"))
    async with open_service(fake, tmp_path) as another:
        assert (await another.provision(ask=Ask(request_key="k"))).change == "none"
        with pytest.raises(ConflictError, match="'k' was used for another request"):
            await another.provision(replace(SPEC, tier=1), Ask(request_key="k"))
        assert (await another.provision(scope=OTHER, ask=Ask(request_key="k"))).change == "created"


async def test_a_foreign_container_of_the_same_name_is_left_alone(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        made = await service.made()
        labels = (await fake.inspect(made.place)).labels
        await service.workspaces.remove(made, keep_volume=False)
        copied = {**labels, naming.TIER: "1"}
        await fake.create(ContainerSpec(name=made.place, image="img:1", labels=copied))
        with pytest.raises(ConflictError, match="did not make"):
            await service.provision()
        assert await service.workspaces.list(SCOPE) == ()
        assert await service.workspaces.find(SCOPE, MAIN) is None
    assert (await fake.inspect(made.place)).labels == copied


@pytest.mark.parametrize("kind", ["volume", "network"])
async def test_a_foreign_object_of_the_same_name_is_refused_and_left(tmp_path: Path, kind: str) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        place = service.workspaces.place(SCOPE, MAIN)
        if kind == "volume":
            await fake.create_volume(naming.volume_name(place), {})
        else:
            await fake.create_network(naming.own_network_name(place), {}, is_internal=False)
        with pytest.raises(EngineConflictError, match=f"a {kind} with the engine name.*did not make"):
            await service.provision()
    assert await left_over(fake) == []
    there = [v.name for v in await fake.list_volumes({})] + [n.name for n in await fake.list_networks({})]
    assert len([name for name in there if place in name]) == 1


async def test_data_stays_when_a_new_container_is_removed_by_hand_before_its_making_was_tidied_up(
    tmp_path: Path,
) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        fake.fail_next("list_volumes", EngineError("no"))  # to see which configuration is not needed any more
        made = await service.made(replace(SPEC, content=Content(files={"a": "1"})))
        assert made.container is not None
        await fake.remove(made.container)
        await service.workspaces.repair()
        assert set(fake.volumes) >= {made.volume}


async def test_removal_keeps_the_data_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        made = await service.made()
        assert await service.workspaces.remove(made, keep_volume=True) == made.volume
        assert await left_over(fake) == [made.volume]
        assert (await service.provision()).change == "created"
        assert await service.workspaces.remove(made, keep_volume=False) == ""
    assert await left_over(fake) == []


async def test_a_removal_that_fails_keeps_the_data(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        made = await service.made()
        before = await left_over(fake)
        fake.fail_next("remove", EngineError("no"))
        with pytest.raises(EngineError):
            await service.workspaces.remove(made, keep_volume=False)
        assert await left_over(fake) == before
        assert await service.workspaces.repair() == 0
        assert (await service.provision()).change == "none"


async def test_data_that_a_removal_left_behind_is_removed_by_whoever_comes_next(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        made = await service.made()
        fake.fail_next("remove_volume", EngineError("no"))
        with pytest.raises(EngineError):
            await service.workspaces.remove(made, keep_volume=False)
        assert await service.workspaces.repair() == 1
    assert await left_over(fake) == []


async def test_a_removal_that_a_power_cut_brings_back_takes_nothing_that_was_made_since(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service, open_state(tmp_path / "state") as state:
        ledger = Ledger(state, utc_now)
        fake.fail_next("remove_volume", EngineError("no"))
        with pytest.raises(EngineError):
            await service.workspaces.remove(await service.made(), keep_volume=False)
        lost = await ledger.intent(service.workspaces.place(SCOPE, MAIN))
        assert lost is not None
        assert await service.workspaces.repair() == 1
        made = await service.made()
        # The last writes to the state did not reach the disk, what the engine did since has.
        await ledger.begin(lost)
        assert await service.workspaces.repair() == 1
        assert await ledger.intents() == ()
        assert (await service.provision()).change == "none"
        assert made.volume in await left_over(fake)


async def test_a_removal_that_takes_too_long_is_not_said_to_be_done(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service, open_state(tmp_path / "state") as state:
        made = await service.made()
        fake.hang_next("remove_volume")
        hasty = Removal(fake, state, Ledger(state, utc_now), clean_up_s=0.2)
        with pytest.raises(EngineTimeoutError, match="could not be removed within"):
            await hasty.remove(made, keep_volume=False)
        assert made.volume in await left_over(fake)
        assert await service.workspaces.repair() == 1
    assert await left_over(fake) == []


async def test_a_missing_image_is_an_error_before_anything_is_made(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        with pytest.raises(ImageNotFoundError, match="nope:1"):
            await service.provision(replace(SPEC, image="nope:1"))
    assert await left_over(fake) == []


async def test_a_new_workspace_without_an_image_is_told_which_there_are(tmp_path: Path) -> None:
    async with open_service(an_engine(), tmp_path) as service:
        with pytest.raises(InvalidArgumentError, match="img:1"):
            await service.provision(replace(SPEC, image=""))


async def test_a_required_file_that_nobody_has_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    fake = an_engine()
    required = Content(required=("config.yaml",))
    async with open_service(fake, tmp_path) as service:
        with pytest.raises(InvalidArgumentError, match=r"'config.yaml' of /configs: neither the template"):
            await service.provision(replace(SPEC, content=required))
        assert await left_over(fake) == []
        await service.provision(replace(SPEC, content=replace(required, files={"config.yaml": "a: 1"})))
        assert (await service.provision(replace(SPEC, content=required))).change == "none"


async def test_a_chat_has_as_many_workspaces_as_the_operator_says(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path, WorkspaceRules(workspaces=2)) as service:
        for name in ("a", "b"):
            await service.provision(replace(SPEC, name=WorkspaceName(name)))
        with pytest.raises(LimitError, match=r"as many as it may \(2\)"):
            await service.provision(replace(SPEC, name=WorkspaceName("c")))
        assert (await service.provision(replace(SPEC, name=WorkspaceName("a")))).change == "none"
        assert (await service.provision(scope=OTHER)).change == "created"


@pytest.mark.parametrize("tier", [3, 4])
async def test_a_tier_that_is_not_granted_is_refused_also_for_a_workspace_that_is_there(
    tmp_path: Path, tier: int
) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        with pytest.raises(ForbiddenError, match=rf"--max-tier {tier}, which is root on the host"):
            await service.provision(replace(SPEC, tier=tier))
        assert fake.calls.count("create") == 0
        await service.provision(replace(SPEC, tier=1))
        with pytest.raises(ForbiddenError):
            await service.provision(replace(SPEC, tier=tier))


@pytest.mark.parametrize("tier", [-1, 5, 7, 99])
async def test_a_tier_that_does_not_exist_is_refused(tmp_path: Path, tier: int) -> None:
    async with open_service(an_engine(), tmp_path, WorkspaceRules(max_tier=4)) as service:
        with pytest.raises(InvalidArgumentError, match=f"tier {tier} does not exist"):
            await service.provision(replace(SPEC, tier=tier))


async def test_an_engine_that_is_down_is_not_an_empty_list(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        await service.provision()
        await fake.go_down()
        with pytest.raises(EngineUnavailableError):
            await service.workspaces.list(SCOPE)
        with pytest.raises(EngineUnavailableError):
            await service.workspaces.find(SCOPE, MAIN)
        with pytest.raises(EngineUnavailableError):
            await service.provision()
        fake.come_back()
        assert len(await service.workspaces.list(SCOPE)) == 1


async def test_another_instance_is_blind_to_ours(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path / "a") as a, open_service(fake, tmp_path / "b") as b:
        mine, theirs = await a.made(), await b.made()
        assert mine.place != theirs.place
        assert [w.place for w in await b.workspaces.list(SCOPE)] == [theirs.place]


async def test_execd_is_brought_to_the_engine_once(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        await service.provision()
        await service.provision(scope=OTHER)
    volumes = [v.name for v in await fake.list_volumes({}) if v.name.startswith("wsmcp-execd-")]
    assert len(volumes) == 1
