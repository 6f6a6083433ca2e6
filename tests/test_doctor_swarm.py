"""What doctor says of a swarm: its managers, and each node."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import anyio
import pytest
from support.fake_swarm import FakeSwarm
from support.fake_world import BEGAN

from ws_mcp.console import Mark
from ws_mcp.core.placement.opening import Swarm
from ws_mcp.doctor_swarm import swarm_facts
from ws_mcp.facts import Fact

pytestmark = pytest.mark.anyio


async def facts_of(swarm: FakeSwarm, now: datetime = BEGAN, constraints: tuple[str, ...] = ()) -> list[Fact]:
    doors = Swarm(managers=swarm.managers, engines=swarm.engines, constraints=constraints)
    return await swarm_facts(doors, lambda: now)


def odd(facts: list[Fact]) -> list[str]:
    return [f"{fact.text} -> {fact.advice}" for fact in facts if fact.mark is not Mark.OK]


async def test_without_placement_nothing_is_said() -> None:
    assert await swarm_facts(None) == []


async def test_a_swarm_that_is_whole_gives_no_advice() -> None:
    facts = await facts_of(FakeSwarm(), constraints=("node.labels.disk==ssd",))
    assert odd(facts) == []
    texts = [fact.text for fact in facts]
    assert texts[:2] == [
        "3 of 3 nodes are ready; workspaces only where node.labels.disk==ssd",
        "3 of 3 managers reach each other; 1 may be lost",
    ]
    assert [text.partition(" ")[0] for text in texts[2:]] == [f"node-{n}" for n in (1, 2, 3) for _ in "ab"]


async def test_managers_that_nobody_could_replace_are_said() -> None:
    (alone,) = odd(await facts_of(FakeSwarm(managers=1)))
    assert "nothing can be placed while it is lost" in alone
    (two,) = odd(await facts_of(FakeSwarm(managers=2)))
    assert "with one less nothing can be placed" in two
    swarm = FakeSwarm()
    swarm.is_leaderless = True
    (only,) = await facts_of(swarm)
    assert (only.mark, only.advice) == (Mark.BAD, "name a manager of the swarm with --engine")


async def test_each_node_that_is_not_as_it_should_be_is_named() -> None:
    swarm = FakeSwarm(nodes=5)
    await swarm.lose("node-2")
    swarm.set_availability("node-3", "drain")
    swarm.unnamed.add("node-4")
    await swarm.cut_off("node-5")
    said = odd(await facts_of(swarm))
    down, drained, unnamed, silent = (text for text in said if text.startswith("node-"))
    assert "is down: heartbeat failure -> what is on it is unknown" in down
    assert "takes nothing new (drain)" in drained
    assert unnamed.startswith("node-4 cannot be used: nobody said")
    assert unnamed.endswith("--node node-4=ENDPOINT")
    assert silent.startswith("node-5 cannot be used")


async def test_a_node_that_hangs_does_not_hold_up_the_others(virtual_time: None) -> None:
    swarm = FakeSwarm()
    swarm.engine("node-2").hang_next("info")
    with anyio.fail_after(60):
        (said,) = odd(await facts_of(swarm))
    assert said.startswith("node-2 ")


@pytest.mark.parametrize(
    ("off_s", "words"),
    [
        (-40, "the clock of node-2 is 40 s behind this machine's"),
        (-2, ""),
        (0, ""),
        (2, ""),
        (40, "the clock of node-2 is 40 s ahead of this machine's"),
    ],
)
async def test_a_clock_that_is_off_by_more_than_two_seconds_is_said(off_s: int, words: str) -> None:
    swarm = FakeSwarm()
    engine = swarm.engine("node-2")
    engine.about = replace(engine.about, told_at=BEGAN + timedelta(seconds=off_s))
    said = odd(await facts_of(swarm))
    assert len(said) == bool(words)
    assert all(words in text and "chrony" in text for text in said)


async def test_a_slow_answer_is_no_wrong_clock_and_one_without_a_time_says_nothing() -> None:
    swarm = FakeSwarm(nodes=3)
    swarm.engine("node-3").about = replace(swarm.engine("node-3").about, told_at=None)
    moments = iter(BEGAN + timedelta(seconds=each) for each in (-30, -30, -30, 30, 30, 30))
    doors = Swarm(managers=swarm.managers, engines=swarm.engines)
    assert odd(await swarm_facts(doors, lambda: next(moments))) == []
