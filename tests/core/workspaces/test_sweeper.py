"""Sweeping an engine: only what is nobody's goes, only after everything was seen, and never under somebody's hands."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from support.fake_engine import FakeEngine
from support.our_objects import IMAGE, OTHER_SCOPE, SCOPE, container_spec, engine, labels, make, place_of

from ws_mcp.core.clock import utc_now
from ws_mcp.core.database import Instance
from ws_mcp.core.engine.model import Container, ContainerSpec, Network
from ws_mcp.core.errors import EngineConflictError, EngineError, EngineNotFoundError, EngineUnavailableError
from ws_mcp.core.ids import ChatId, ContainerId, PlaceId, Scope
from ws_mcp.core.known_chats import ChatRecord, KnownChats
from ws_mcp.core.state import State, open_state
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.ledger import Intent, IntentKind, Ledger
from ws_mcp.core.workspaces.sweep_plan import NEVER_STARTED, NO_CONTAINER, LeftoverKind
from ws_mcp.core.workspaces.sweeper import GRACE_S, Sweeper, SweepWish, Swept, open_sweeping

pytestmark = pytest.mark.usefixtures("real_io")

ALL_NOW = SweepWish(is_dry_run=False, older_than_s=0)


@dataclass
class Ground:
    """One server: its engine, its state, and a clock that the test turns."""

    fake: FakeEngine
    state: State
    now: datetime = field(default_factory=lambda: datetime(2027, 1, 1, tzinfo=UTC))

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.state, lambda: self.now)
        self.sweeper = Sweeper(self.fake, self.state, self.ledger, lambda: self.now)

    @property
    def instance(self) -> Instance:
        return self.state.instance

    def place(self, name: str = "main") -> str:
        return place_of(name, SCOPE, self.instance)

    async def know(self, scope: Scope = SCOPE) -> None:
        """The chat is in the state directory."""
        await KnownChats(self.state, utc_now).remember(
            ChatRecord(chat=scope.chat, principal=scope.principal, label="", created_at="")
        )

    async def leave(self, name: str = "main") -> set[str]:
        """What a workspace leaves whose container somebody removed by hand: configuration, network, data."""
        place = place_of(name, SCOPE, self.instance)
        made = {
            naming.configs_name(place, "d" * 64): "configs",
            naming.volume_name(place): "volume",
        }
        for volume, kind in made.items():
            await self.fake.create_volume(volume, labels(kind, volume, name, SCOPE, self.instance))
        network = naming.own_network_name(place)
        its = labels("network", network, name, SCOPE, self.instance)
        await self.fake.create_network(network, its, is_internal=False)
        return {*made, network}

    def names(self) -> set[str]:
        """Everything on the engine."""
        containers = (each.spec.name for each in self.fake.containers.values())
        return {*containers, *self.fake.volumes, *self.fake.networks}


class Scripted(FakeEngine):
    """Does what a test says before a listing of containers; they are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.add_image(IMAGE)
        self.listings = 0
        self.before: dict[int, Callable[[], Awaitable[None]]] = {}

    async def list_containers(self, labels: Mapping[str, str]) -> tuple[Container, ...]:
        self.listings += 1
        if act := self.before.get(self.listings):
            await act()
        return await super().list_containers(labels)


@asynccontextmanager
async def open_ground(path: Path, fake: FakeEngine | None = None) -> AsyncGenerator[Ground]:
    async with open_state(path / "s") as state:
        ground = Ground(fake or engine(), state)
        await ground.know()
        yield ground


def names(swept: Swept) -> set[str]:
    return {each.name for each in swept.removed}


async def test_a_dry_run_says_exactly_what_the_sweep_then_removes(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        left = await ground.leave()
        await make(ground.fake, "whole", SCOPE, ground.instance)
        await ground.fake.create(container_spec("never", SCOPE, ground.instance))
        before = ground.names()
        dry = await ground.sweeper.sweep(replace(ALL_NOW, is_dry_run=True, has_data=True))
        assert ground.names() == before
        assert {each.name for each in dry.due} == left | {ground.place("never")}
        wet = await ground.sweeper.sweep(replace(ALL_NOW, has_data=True))
        assert wet.removed == wet.due == dry.due
        assert ground.names() == {ground.place("whole")}
        assert (await ground.sweeper.sweep(ALL_NOW)).due == ()


async def test_data_is_removed_only_when_a_person_asks_for_that(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.leave()
        data = naming.volume_name(place_of("main", SCOPE, ground.instance))
        assert data not in names(await ground.sweeper.sweep(ALL_NOW))
        assert ground.names() == {data}
        assert names(await ground.sweeper.sweep(replace(ALL_NOW, has_data=True))) == {data}


async def test_a_person_removes_what_is_old_enough(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.leave()
        network = naming.own_network_name(place_of("main", SCOPE, ground.instance))
        made_at = datetime.fromisoformat(next(iter(ground.fake.volumes.values())).volume.created_at)
        wish = SweepWish(is_dry_run=False, has_data=True, older_than_s=7 * 86_400)
        ground.now = made_at + timedelta(days=6)
        # Engines do not say how old a network is.
        assert names(await ground.sweeper.sweep(wish)) == {network}
        ground.now = made_at + timedelta(days=8)
        assert len(names(await ground.sweeper.sweep(wish))) == 2


async def test_data_whose_age_is_not_known_stays(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.leave()
        for volume in ground.fake.volumes.values():
            volume.volume = replace(volume.volume, created_at="")
        await ground.sweeper.sweep(replace(ALL_NOW, has_data=True))
        assert ground.names() == {naming.volume_name(place_of("main", SCOPE, ground.instance))}


async def test_a_prefix_chooses_workspaces_by_their_names(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.leave("test-a")
        kept = await ground.leave("main")
        await ground.sweeper.sweep(replace(ALL_NOW, prefix="test-", has_data=True))
        assert ground.names() == kept


@pytest.mark.parametrize("call", ["list_containers", "inspect", "list_volumes", "list_networks"])
async def test_when_anything_cannot_be_seen_nothing_is_removed(tmp_path: Path, call: str) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.leave()
        await ground.fake.create(container_spec("never", SCOPE, ground.instance))
        before = ground.names()
        ground.fake.fail_next(call, EngineUnavailableError("no engine answers"))
        with pytest.raises(EngineUnavailableError):
            await ground.sweeper.sweep(ALL_NOW)
        assert ground.names() == before


@pytest.mark.parametrize("call", ["list_containers", "inspect", "list_volumes", "list_networks"])
async def test_the_look_under_the_lock_has_to_be_whole_too(tmp_path: Path, call: str) -> None:
    async def fail() -> None:
        fake.fail_next(call, EngineError("not now"))

    async with open_ground(tmp_path, fake := Scripted()) as ground:
        await ground.leave()
        await fake.create(container_spec("never", SCOPE, ground.instance))
        before = ground.names()
        plan = await ground.sweeper.sweep(replace(ALL_NOW, is_dry_run=True))
        fake.before[fake.listings + 2] = fail
        swept = await ground.sweeper.sweep(ALL_NOW)
        assert (swept.due, swept.removed, swept.failure) == (plan.due, (), "not now")
        assert ground.names() == before


async def test_a_removal_that_fails_ends_the_sweep_and_says_what_was_done(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.leave()
        ground.fake.fail_next("remove_network", EngineUnavailableError("no engine answers"))
        swept = await ground.sweeper.sweep(ALL_NOW)
        assert [each.kind for each in swept.removed] == [LeftoverKind.VOLUME]
        assert swept.failure == "no engine answers"


async def test_what_the_engine_will_not_part_with_is_named_and_the_rest_goes(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.leave()
        ground.fake.fail_next("remove_volume", EngineConflictError("volume is in use"))
        swept = await ground.sweeper.sweep(ALL_NOW)
        assert [(each.kind, reason) for each, reason in swept.kept] == [(LeftoverKind.VOLUME, "volume is in use")]
        assert [each.kind for each in swept.removed] == [LeftoverKind.NETWORK]


async def test_a_container_that_stays_keeps_what_it_could_use(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.leave()
        await ground.fake.create(container_spec("main", SCOPE, ground.instance))
        before = ground.names()
        ground.fake.fail_next("remove", EngineConflictError("removal is in progress"))
        swept = await ground.sweeper.sweep(ALL_NOW)
        assert swept.removed == ()
        assert [reason for _, reason in swept.kept] == [
            "removal is in progress",
            *["it belongs to somebody by now"] * 2,
        ]
        assert ground.names() == before


async def test_a_container_that_went_by_itself_is_no_failure(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.fake.create(container_spec("never", SCOPE, ground.instance))
        ground.fake.fail_next("inspect", EngineNotFoundError("no such container"))
        assert (await ground.sweeper.sweep(ALL_NOW)).due == ()


async def test_what_somebody_works_on_is_left_alone(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground, open_state(tmp_path / "s") as other:
        left = await ground.leave()
        await ground.leave("free")
        async with other.lock(ground.place()):
            swept = await ground.sweeper.sweep(ALL_NOW)
        assert left <= ground.names()
        assert {reason for _, reason in swept.kept} == {"a server works on its workspace"}
        assert {each.workspace for each in swept.removed} == {"free"}


async def test_what_an_intent_names_is_left_alone(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.leave()
        before = ground.names()
        await ground.ledger.begin(
            Intent(place=place_of("main", SCOPE, ground.instance), kind=IntentKind.PROVISION, objects=())
        )
        assert (await ground.sweeper.sweep(ALL_NOW)).due == ()
        assert ground.names() == before


async def test_a_workspace_that_comes_back_before_its_turn_keeps_everything(tmp_path: Path) -> None:
    async with open_ground(tmp_path, fake := Scripted()) as ground:
        left = await ground.leave()

        async def come_back() -> None:
            await make(fake, "main", SCOPE, ground.instance)

        fake.before[2] = come_back
        swept = await ground.sweeper.sweep(ALL_NOW)
        assert swept.removed == ()
        assert {reason for _, reason in swept.kept} == {"it belongs to somebody by now"}
        assert ground.names() == left | {ground.place()}


async def test_containers_of_a_chat_that_nobody_knows_end_and_their_secrets_go(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.know(OTHER_SCOPE)
        strange = replace(SCOPE, chat=ChatId("c3"))
        await make(ground.fake, "main", strange, ground.instance)
        await make(ground.fake, "main", SCOPE, ground.instance)
        for scope in (strange, SCOPE):
            await ground.ledger.keep_secrets(place_of("main", scope, ground.instance), {"token": b"x"})
        await ground.sweeper.sweep(ALL_NOW)
        assert ground.names() == {ground.place()}
        assert await ground.ledger.secrets(place_of("main", strange, ground.instance)) == {}
        assert await ground.ledger.secrets(place_of("main", SCOPE, ground.instance)) == {"token": b"x"}


async def test_other_instances_and_strangers_keep_everything(tmp_path: Path) -> None:
    fake = engine()
    async with open_ground(tmp_path / "a", fake) as ours, open_ground(tmp_path / "b", fake) as theirs:
        await theirs.leave()
        await fake.create(container_spec("never", SCOPE, theirs.instance))
        await fake.create(ContainerSpec(name="db", image="img:1"))
        await fake.create_volume("stuff", {naming.INSTANCE: ours.instance.id, naming.KIND: "configs"})
        before = ours.names()
        swept = await ours.sweeper.sweep(replace(ALL_NOW, has_data=True))
        assert swept == Swept(due=())
        assert ours.names() == before


async def test_two_servers_that_sweep_at_once_remove_each_thing_once(tmp_path: Path) -> None:
    fake = engine()
    async with open_ground(tmp_path, fake) as one, open_ground(tmp_path, fake) as two:
        for number in range(5):
            await one.leave(f"w{number}")
        got: list[Swept] = []

        async def sweep(ground: Ground) -> None:
            got.append(await ground.sweeper.sweep(replace(ALL_NOW, has_data=True)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sweep, one)
            tasks.start_soon(sweep, two)
        removed = [each.name for swept in got for each in swept.removed]
        assert len(removed) == len(set(removed)) == 15
        assert one.names() == set()
        assert [swept.failure for swept in got] == ["", ""]


async def test_a_server_removes_what_it_has_seen_nobody_have_for_a_while_but_no_data(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.leave()
        await ground.fake.create(container_spec("never", SCOPE, ground.instance))
        data = naming.volume_name(place_of("main", SCOPE, ground.instance))
        before = ground.names()
        assert (await ground.sweeper.sweep_unasked()).due == ()
        assert ground.names() == before
        rewind(ground.sweeper, GRACE_S - 1)
        assert (await ground.sweeper.sweep_unasked()).due == ()
        rewind(ground.sweeper, 1)
        swept = await ground.sweeper.sweep_unasked()
        assert {each.why for each in swept.removed} == {NEVER_STARTED, NO_CONTAINER}
        assert ground.names() == {data}


async def test_what_was_somebodys_in_between_has_to_wait_anew(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        await ground.leave()
        before = ground.names()
        await ground.sweeper.sweep_unasked()
        rewind(ground.sweeper, GRACE_S)
        place = place_of("main", SCOPE, ground.instance)
        await ground.ledger.begin(Intent(place=place, kind=IntentKind.PROVISION, objects=()))
        await ground.sweeper.sweep_unasked()
        await ground.ledger.end(place)
        assert (await ground.sweeper.sweep_unasked()).due == ()
        assert ground.names() == before


async def test_while_another_server_sweeps_a_server_does_not(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground, open_state(tmp_path / "s") as other, other.lock("sweep"):
        ground.fake.calls.clear()
        await ground.sweeper.sweep_unasked()
        assert ground.fake.calls == []


async def test_a_server_that_nobody_asks_for_containers_repairs_but_does_not_ask_the_engine(tmp_path: Path) -> None:
    repaired = anyio.Event()

    async def repair() -> int:
        repaired.set()
        return 0

    async with open_ground(tmp_path) as ground:
        async with open_sweeping(ground.sweeper, repair, lambda: False):
            with anyio.fail_after(5):
                await repaired.wait()
        assert ground.fake.calls == []


async def test_a_server_that_is_asked_sweeps(tmp_path: Path) -> None:
    listed = anyio.Event()

    class Telling(FakeEngine):
        async def list_networks(self, labels: Mapping[str, str]) -> tuple[Network, ...]:
            listed.set()
            return ()

    async def repair() -> int:
        return 0

    async with open_ground(tmp_path, Telling()) as ground, open_sweeping(ground.sweeper, repair, lambda: True):
        with anyio.fail_after(5):
            await listed.wait()


@pytest.mark.parametrize("left", ["container", "data", "intent", "nothing"])
async def test_secrets_go_a_while_after_a_workspace_was_removed_by_hand_with_its_data(
    tmp_path: Path, left: str
) -> None:
    async with open_ground(tmp_path) as ground:
        place = await with_a_secret(ground)
        container = await make(ground.fake, "main", SCOPE, ground.instance)
        await ground.sweeper.sweep_unasked()
        if left != "container":
            await ground.fake.remove(ContainerId(container))
        if left == "data":
            await ground.leave()
        elif left == "intent":
            await ground.ledger.begin(Intent(place=place, kind=IntentKind.PROVISION, objects=()))
        await ground.sweeper.sweep_unasked()
        rewind(ground.sweeper, GRACE_S - 1)
        await ground.sweeper.sweep_unasked()
        assert await ground.ledger.places() == {place}
        rewind(ground.sweeper, 1)
        async with open_state(tmp_path / "s") as other, other.lock(place):  # somebody makes it anew
            await ground.sweeper.sweep_unasked()
        assert await ground.ledger.secrets(place)
        await ground.sweeper.sweep_unasked()
        assert await ground.ledger.places() == (set[PlaceId]() if left == "nothing" else {place})


async def test_secrets_of_a_workspace_that_was_never_seen_on_this_engine_stay(tmp_path: Path) -> None:
    async with open_ground(tmp_path) as ground:
        place = await with_a_secret(ground)  # it may be on another engine, with another server
        await ground.sweeper.sweep_unasked()
        rewind(ground.sweeper, GRACE_S)
        await ground.sweeper.sweep_unasked()
        assert await ground.ledger.places() == {place}


async def with_a_secret(ground: Ground) -> PlaceId:
    place = place_of("main", SCOPE, ground.instance)
    await ground.ledger.keep_secrets(place, {"token": b"x"})
    await ground.ledger.set_idle_stop(place, 60)
    return place


def rewind(sweeper: Sweeper, seconds: float) -> None:
    """As if so much more time had passed since the server saw what it has seen."""
    sweeper._since = {each: since - seconds for each, since in sweeper._since.items()}
    sweeper._gone = {each: since - seconds for each, since in sweeper._gone.items()}
