"""Runs seeds: `python -m simulation.run --seed 7` one, `--minutes 60` many; who fails is printed with its trace."""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
from simulation.acts import Player
from simulation.afterwards import check_as_at_first, check_nothing_is_left
from simulation.book import Book
from simulation.faults import Chances
from simulation.mishaps import Mishaps
from simulation.seeding import first_of, run_seeded
from simulation.settling import check_keeper, settle
from simulation.world import MAIN, open_world

STEPS = 15  # of each of the players
DIRECTORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None  # a disk would be what most of the time goes to
CALL_S = 0.04
SHOWN = 120  # lines of a trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one seed showed; `failure` is "" if every promise was kept."""

    seed: int
    failure: str
    trace: tuple[str, ...]

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        shown = "\n".join(self.trace[-SHOWN:])
        return (
            f"seed {self.seed}: {self.failure or 'kept'}\n{shown}\nagain: python -m simulation.run --seed {self.seed}"
        )


def run(seed: int, steps: int = STEPS) -> Run:
    """One seed, from an empty state directory."""
    trace: list[str] = []
    failure = ""
    with tempfile.TemporaryDirectory(dir=DIRECTORY) as directory:
        try:
            run_seeded(seed, partial(_story, Path(directory), steps, trace))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failure = _first(error)
    return Run(seed=seed, failure=failure, trace=tuple(trace))


async def _story(directory: Path, steps: int, trace: list[str], chance: random.Random) -> None:
    async with open_world(directory, chance) as world:
        world.trace = trace
        book = Book(world)
        for name in ("s1", "s2"):
            await world.start_server(name)
        world.remember_instance()
        for principal, name in (("alice", "keeper"), ("alice", "a1"), ("alice", "a2"), ("bob", "b1")):
            await world.make_chat("s1", principal, name)
        pauses_s = chance.choice(((0.0, 0.05, 0.5, 3.0), (0.0, 0.0, 0.01, 0.2)))
        keeper_chat, first, second, third = world.chats
        # Two who work for one chat at the same time meet in its workspaces.
        rivals = chance.random() < 0.5
        players = [
            Player(
                world,
                book,
                chat,
                random.Random(chance.random()),
                is_keeper=chat is keeper_chat,
                is_rival=rivals and chat is first,
                pauses_s=pauses_s,
            )
            for chat in (keeper_chat, keeper_chat, first, first, first, second, third)
        ]
        keeper = players[0]
        while not (container := world.container(keeper.chat, MAIN)):
            await keeper.provision()
        strangers = await world.add_strangers(container)
        world.engine.call_s = CALL_S
        world.injector = Chances(random.Random(chance.random()), chance.choice((0.0, 0.005, 0.02, 0.05)))
        mishaps = Mishaps(world, random.Random(chance.random()), keeper.chat)
        async with anyio.create_task_group() as storm:
            storm.start_soon(mishaps.go_on)
            storm.start_soon(world.keep_up)
            async with anyio.create_task_group() as tasks:
                for player in players:
                    tasks.start_soon(player.play, steps)
            storm.cancel_scope.cancel()
        await settle(world, book)
        book.check_effects()
        check_keeper(world, keeper.chat, container, may_be_stopped=mishaps.has_stopped_all)
        await check_as_at_first(world)
        await check_nothing_is_left(world)
        world.check(world.strangers() == strangers, f"what is not ours was touched: {world.strangers()}")
        world.check(not world.faulty, f"bugs in the log: {world.faulty}")


def _first(error: BaseException) -> str:
    error = first_of(error)
    place = ""
    if not isinstance(error, AssertionError) and error.__traceback__ is not None:
        place = "\n" + "".join(traceback.format_exception(error))[-3000:]
    return f"{type(error).__name__}: {error}{place}"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    if given.seed is not None:
        done = run(given.seed, given.steps)
        print(done, done.digest)
        return int(bool(done.failure))
    began, failed, count = time.monotonic(), 0, 0
    while time.monotonic() - began < given.minutes * 60:
        done = run(given.first + count, given.steps)
        count += 1
        if done.failure:
            failed += 1
            print(done)
    print(f"{count} seeds, {failed} failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
