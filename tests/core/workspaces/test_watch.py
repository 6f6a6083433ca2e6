"""The kept list of containers: true in the end whatever happens to events, never emptied by an engine that is away."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from random import Random

import anyio
import anyio.lowlevel
import pytest
from support.fake_engine import FakeEngine
from support.our_objects import (
    IMAGE,
    INSTANCE,
    OTHER_INSTANCE,
    OTHER_SCOPE,
    SCOPE,
    container_spec,
    engine,
    labels,
    make,
    place_of,
)

from ws_mcp.core.changes import Change, Changes, Subject
from ws_mcp.core.engine.looks import SAFETY_S
from ws_mcp.core.engine.model import Container, ContainerSpec
from ws_mcp.core.engine.seeing import INSPECTS
from ws_mcp.core.errors import EngineError, EngineUnavailableError
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.workspaces.model import Workspace, WorkspaceState
from ws_mcp.core.workspaces.watch import ENDING_S, REFRESH_S, Sight, Watch, open_watch

DOWN = EngineUnavailableError("no engine answers")


@asynccontextmanager
async def open_watching(fake: FakeEngine, changes: Changes | None = None) -> AsyncGenerator[Watch]:
    """A watch that nobody has asked anything yet."""
    with anyio.fail_after(86_400):
        async with open_watch(fake, INSTANCE, changes or Changes()) as watch:
            yield watch


async def settle() -> None:
    """Let everything that can go on without time do so."""
    for _ in range(50):
        await anyio.lowlevel.checkpoint()


def shown(sight: Sight) -> dict[str, WorkspaceState]:
    """The workspaces of all chats by name."""
    return {each.name: each.state for workspaces in sight.workspaces.values() for each in workspaces}


def ran_out_of_memory(sight: Sight) -> bool:
    """What no listing shows."""
    return any("more memory" in note for each in sight.of(SCOPE) for note in each.notes)


class Noisy(FakeEngine):
    """An engine whose events get lost, come twice, and come late."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self._late: list[tuple[str, str, str, Mapping[str, str]]] = []
        self.add_image(IMAGE)

    def _tell(self, kind: str, action: str, name: str, labels: Mapping[str, str]) -> None:
        fate = self._random.choice(("lost", "lost", "late", "twice", "told"))
        if fate == "lost":
            return
        if fate == "late":
            self._late.append((kind, action, name, labels))
            return
        for event in (*self._late, *[(kind, action, name, labels)] * (2 if fate == "twice" else 1)):
            super()._tell(*event)
        self._late.clear()


class Silent(FakeEngine):
    """An engine whose events are all lost."""

    def _tell(self, kind: str, action: str, name: str, labels: Mapping[str, str]) -> None:
        pass


async def test_nothing_is_asked_of_the_engine_before_somebody_asks(virtual_time: None) -> None:
    fake = engine()
    async with open_watching(fake):
        await anyio.sleep(600)
        assert fake.calls == []


async def test_the_first_question_is_answered_by_looking() -> None:
    fake = engine()
    await make(fake, "main")
    await make(fake, "stopped", is_running=False)
    async with open_watching(fake) as watch:
        sight = await watch.list()
    assert shown(sight) == {"main": WorkspaceState.RUNNING, "stopped": WorkspaceState.STOPPED}
    assert (sight.unknown, sight.age_s) == ("", 0.0)


async def test_a_chat_sees_its_own_and_nobody_elses_and_forgeries_are_nobodys() -> None:
    fake = engine()
    await make(fake, "main")
    await make(fake, "theirs", OTHER_SCOPE)
    await make(fake, "foreign", SCOPE, OTHER_INSTANCE)
    stolen = labels("container", place_of("main"), "main")
    await fake.create(ContainerSpec(name="copied", image="img:1", labels=stolen))
    async with open_watching(fake) as watch:
        sight = await watch.list()
    assert [each.name for each in sight.of(SCOPE)] == ["main"]
    assert shown(sight).keys() == {"main", "theirs"}


async def test_while_nothing_happens_the_engine_is_asked_only_to_be_on_the_safe_side(virtual_time: None) -> None:
    fake = engine()
    for number in range(20):
        await make(fake, f"w{number}")
    async with open_watching(fake) as watch:
        await watch.list()
        await anyio.sleep(1)
        fake.calls.clear()
        for _ in range(100):
            assert len((await watch.list()).of(SCOPE)) == 20
        assert fake.calls == []
        await anyio.sleep(4 * SAFETY_S)
        assert fake.calls == ["list_containers"] * 4


async def test_an_event_is_followed_by_a_look_at_what_it_is_about_and_no_more(virtual_time: None) -> None:
    fake = engine()
    made = [await make(fake, f"w{number}") for number in range(5)]
    async with open_watching(fake) as watch:
        await watch.list()
        await anyio.sleep(1)
        fake.calls.clear()
        await fake.stop(made[2], 0)
        await anyio.sleep(1)
        assert fake.calls == ["stop", "list_containers", "inspect"]
        assert shown(await watch.list())["w2"] is WorkspaceState.STOPPED
        assert len(fake.calls) == 3


async def test_what_a_container_became_while_its_listing_stayed_the_same_is_seen_after_its_event(
    virtual_time: None,
) -> None:
    fake = engine()
    made = await make(fake, "main")
    async with open_watching(fake) as watch:
        await watch.list()
        await anyio.sleep(1)
        fake.containers[made].is_oom_killed = True
        fake._tell("container", "oom", made, fake.containers[made].spec.labels)
        await anyio.sleep(1)
        assert ran_out_of_memory(await watch.list())


async def test_a_burst_of_events_is_one_look(virtual_time: None) -> None:
    fake = engine()
    async with open_watching(fake) as watch:
        await watch.list()
        await anyio.sleep(1)
        fake.calls.clear()
        for number in range(30):
            await make(fake, f"w{number}")
        await anyio.sleep(1)
        assert fake.calls.count("list_containers") <= 2
        assert len((await watch.list()).of(SCOPE)) == 30


async def test_events_of_others_are_no_reason_to_look(virtual_time: None) -> None:
    fake = engine()
    async with open_watching(fake) as watch:
        await watch.list()
        await anyio.sleep(1)
        fake.calls.clear()
        await make(fake, "foreign", SCOPE, OTHER_INSTANCE)
        await fake.create_volume("v", {})
        await anyio.sleep(1)
        assert "list_containers" not in fake.calls


@pytest.mark.parametrize(
    "action", ["exec_create: execd attach", "exec_start: execd attach", "exec_die", "exec", "exec_died"]
)
async def test_that_somebody_connects_to_an_execd_is_no_reason_to_look(virtual_time: None, action: str) -> None:
    fake = engine()
    made = await make(fake, "main")
    async with open_watching(fake) as watch:
        await watch.list()
        await anyio.sleep(1)
        fake.calls.clear()
        fake._tell("container", action, made, fake.containers[made].spec.labels)
        await anyio.sleep(1)
        assert fake.calls == []


async def test_who_wrote_reads_it_though_no_event_came(virtual_time: None) -> None:
    fake = Silent()
    fake.add_image(IMAGE)
    async with open_watching(fake) as watch:
        await watch.list()
        await anyio.sleep(1)
        await make(fake, "main")
        assert shown(await watch.list()) == {}
        watch.look_soon()
        assert shown(await watch.list()).keys() == {"main"}


async def test_what_no_event_told_is_seen_at_the_next_look_of_the_safe_side(virtual_time: None) -> None:
    fake = Silent()
    fake.add_image(IMAGE)
    made = await make(fake, "main")
    async with open_watching(fake) as watch:
        await watch.list()
        await fake.stop(made, 0)
        await make(fake, "new")
        await anyio.sleep(SAFETY_S + 1)
        assert shown(await watch.list()) == {"main": WorkspaceState.STOPPED, "new": WorkspaceState.RUNNING}


async def test_a_look_that_had_begun_before_does_not_count_as_reading_what_was_written() -> None:
    slow, listed = anyio.Event(), anyio.Event()

    class Slow(FakeEngine):
        async def list_containers(self, labels: Mapping[str, str]) -> tuple[Container, ...]:
            found = await super().list_containers(labels)
            listed.set()
            await slow.wait()
            return found

    fake = Slow()
    fake.add_image(IMAGE)
    got: list[Sight] = []

    async with open_watching(fake) as watch, anyio.create_task_group() as tasks:
        tasks.start_soon(watch.list)
        await listed.wait()
        await make(fake, "main")

        async def read() -> None:
            watch.look_soon()
            got.append(await watch.list())

        tasks.start_soon(read)
        await settle()
        slow.set()
    assert shown(got[0]).keys() == {"main"}


async def test_many_questions_at_once_are_one_look() -> None:
    fake = engine()
    await make(fake, "main")
    fake.calls.clear()
    got: list[Sight] = []
    async with open_watching(fake) as watch:

        async def ask() -> None:
            got.append(await watch.list())

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(ask)
        assert len(got) == 50
        assert fake.calls.count("list_containers") <= 2


async def test_an_engine_that_does_not_answer_empties_nothing_and_the_age_is_said(virtual_time: None) -> None:
    fake = engine()
    await make(fake, "main")
    async with open_watching(fake) as watch:
        before = await watch.list()
        await anyio.sleep(1)
        await fake.go_down()
        await anyio.sleep(100)
        sight = await watch.list()
        assert sight.workspaces == before.workspaces
        assert "no container engine answers" in sight.unknown
        assert sight.age_s is not None
        assert 99 <= sight.age_s <= 102
        fake.come_back()
        again = await watch.list()
        assert (again.unknown, again.age_s) == ("", 0.0)


async def test_an_engine_that_never_answered_leaves_all_unknown() -> None:
    fake = engine()
    await fake.go_down()
    async with open_watching(fake) as watch:
        sight = await watch.list()
    assert (sight.workspaces, sight.age_s) == ({}, None)
    assert "no container engine answers" in sight.unknown


async def test_one_container_that_cannot_be_looked_at_stays_as_it_was_and_the_others_are_seen(
    virtual_time: None,
) -> None:
    fake = engine()
    first = await make(fake, "first")
    async with open_watching(fake) as watch:
        await watch.list()
        await anyio.sleep(1)
        fake.fail_next("inspect", EngineError("its record cannot be read"))
        await fake.stop(first, 0)
        await anyio.sleep(0.5)
        assert "cannot be read" in watch._sight().unknown
        assert shown(watch._sight()) == {"first": WorkspaceState.RUNNING}
        # The next question tries again.
        sight = await watch.list()
        assert (sight.unknown, shown(sight)) == ("", {"first": WorkspaceState.STOPPED})


async def test_one_that_starts_between_list_and_look_and_ends_unheard_is_seen_to_have_ended(virtual_time: None) -> None:
    class Starting(Silent):
        async def inspect(self, container: str) -> Container:
            if self.calls.count("list_containers") == 2:  # the last look before nothing happens any more
                await self.start(made)
            return await super().inspect(container)

    fake = Starting()
    fake.add_image(IMAGE)
    made = await make(fake, "main")
    await fake.die(made, 1)
    async with open_watching(fake) as watch:
        await watch.list()
        await anyio.sleep(1)
        assert shown(await watch.list()) == {"main": WorkspaceState.RUNNING}
        await fake.die(made, 1)  # now a listing shows it as the first one did
        await anyio.sleep(SAFETY_S + 1)
        assert shown(await watch.list()) == {"main": WorkspaceState.STOPPED}


async def test_a_container_that_goes_between_list_and_look_is_gone(virtual_time: None) -> None:
    fake = engine()
    await make(fake, "main")
    vanishing = await make(fake, "vanishing")

    class Vanishing(FakeEngine):
        async def inspect(self, container: str) -> Container:
            if container == vanishing:
                self.containers.pop(ContainerId(container), None)
            return await super().inspect(container)

    other = Vanishing()
    other.containers = fake.containers
    async with open_watching(other) as watch:
        sight = await watch.list()
    assert (shown(sight).keys(), sight.unknown) == ({"main"}, "")


async def test_when_events_end_they_are_listened_to_again_ever_more_slowly(virtual_time: None) -> None:
    fake = engine()
    async with open_watching(fake) as watch:
        await watch.list()
        for _ in range(100):
            fake.fail_next("open_events", DOWN)
        for watcher in fake._watchers:
            watcher.close()
        tries: list[int] = []
        for _ in range(3):
            fake.calls.clear()
            await anyio.sleep(60)
            tries.append(fake.calls.count("open_events"))
        assert tries == [15, 12, 12]  # 0.2 s, then twice as long each time up to 5 s


async def test_while_events_cannot_be_heard_every_question_looks(virtual_time: None) -> None:
    fake = engine()
    for _ in range(100):
        fake.fail_next("open_events", DOWN)
    async with open_watching(fake) as watch:
        await watch.list()
        await make(fake, "main")
        assert shown(await watch.list()).keys() == {"main"}


async def test_what_happened_while_nobody_listened_is_seen_once_somebody_does(virtual_time: None) -> None:
    fake = engine()
    made = await make(fake, "main")
    async with open_watching(fake) as watch:
        await watch.list()
        await anyio.sleep(1)
        for watcher in fake._watchers:
            watcher.close()
        await settle()
        fake.containers[made].is_oom_killed = True  # no listing shows it
        await anyio.sleep(1)
        fake.calls.clear()
        assert ran_out_of_memory(await watch.list())
        assert fake.calls == []


async def test_what_ended_while_or_soon_after_the_engine_was_away_ended_with_it(virtual_time: None) -> None:
    fake = engine()
    early = await make(fake, "early")
    late = await make(fake, "late")
    later = await make(fake, "later")
    async with open_watching(fake) as watch:
        assert not any(each.ended_with_engine for each in (await watch.list()).of(SCOPE))
        await fake.go_down()
        fake.is_quiet = True
        await fake.die(early, 137)
        await anyio.sleep(1)
        fake.come_back()
        fake.is_quiet = False
        await anyio.sleep(10)
        await fake.die(late, 137)
        await anyio.sleep(2 * ENDING_S)
        await fake.die(later, 137)
        await anyio.sleep(REFRESH_S + SAFETY_S)  # it stays so when they are looked at again
        ended = {each.name for each in (await watch.list()).of(SCOPE) if each.ended_with_engine}
        assert ended == {"early", "late"}


async def test_each_chat_whose_containers_differ_is_told_and_no_other(virtual_time: None) -> None:
    fake, changes, heard = engine(), Changes(), list[Change]()
    changes.listen(heard.append)
    made = await make(fake, "main")
    await make(fake, "theirs", OTHER_SCOPE)
    async with open_watching(fake, changes) as watch:
        await watch.list()
        await anyio.sleep(SAFETY_S * 3)
        assert heard == []
        await fake.stop(made, 0)
        await anyio.sleep(1)
        assert heard == [Change(subject=Subject.CONTAINERS, chat=SCOPE.chat)]
        await fake.remove(made)
        await anyio.sleep(1)
        assert heard == [Change(subject=Subject.CONTAINERS, chat=SCOPE.chat)] * 2
        await fake.go_down()
        await anyio.sleep(1000)
        assert len(heard) == 2


async def test_who_only_wants_to_hear_begins_it(virtual_time: None) -> None:
    fake, changes, heard = engine(), Changes(), list[Change]()
    changes.listen(heard.append)
    async with open_watching(fake, changes) as watch:
        watch.begin()
        watch.begin()
        await anyio.sleep(1)
        await make(fake, "main")
        await anyio.sleep(1)
        assert {change.chat for change in heard} == {SCOPE.chat}


async def test_at_most_so_many_containers_are_inspected_at_once() -> None:
    most = now = 0

    class Counting(FakeEngine):
        async def inspect(self, container: str) -> Container:
            nonlocal most, now
            now += 1
            most = max(most, now)
            try:
                await settle()
                return await super().inspect(container)
            finally:
                now -= 1

    fake = Counting()
    fake.add_image(IMAGE)
    for number in range(40):
        await fake.create(container_spec(f"w{number}"))
    async with open_watching(fake) as watch:
        assert len((await watch.list()).of(SCOPE)) == 40
    assert most == INSPECTS


@pytest.mark.parametrize("seed", range(12))
async def test_two_servers_come_to_the_truth_whatever_happens_to_events(virtual_time: None, seed: int) -> None:
    random = Random(seed)
    fake = Noisy(random)
    made: list[ContainerId] = []
    async with open_watching(fake) as one, open_watching(fake) as two:
        for step in range(60):
            choice = random.random()
            if choice < 0.3 or not made:
                made.append(await make(fake, f"w{step}", random.choice((SCOPE, OTHER_SCOPE))))
            elif choice < 0.5:
                await fake.stop(random.choice(made), 0)
            elif choice < 0.7:
                await fake.start(random.choice(made))
            elif choice < 0.8:
                await fake.remove(made.pop(random.randrange(len(made))))
            elif choice < 0.9:
                fake.containers[random.choice(made)].is_oom_killed = True
            else:
                await (one, two)[step % 2].list()
            if random.random() < 0.1:
                fake.fail_next(random.choice(("list_containers", "inspect")), EngineError("not now"))
            await anyio.sleep(random.random())
        one.begin()
        two.begin()
        await anyio.sleep(REFRESH_S + 3 * SAFETY_S)
        fake.calls.clear()
        seen = [(await watch.list()).workspaces for watch in (one, two)]
        assert fake.calls == []
        one.look_soon()
        truth = (await one.list()).workspaces
    assert seen[0] == seen[1] == truth
    assert sum(map(len, truth.values())) == len(fake.containers)
    states: dict[str, Workspace] = {each.place: each for found in truth.values() for each in found}
    assert all(
        (states[each.spec.name].state is WorkspaceState.RUNNING) == each.is_running for each in fake.containers.values()
    )
