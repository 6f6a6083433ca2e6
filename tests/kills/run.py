"""Real servers that are killed: `python -m kills.run --seed 7` one run, `--runs 77` many; needs a container engine."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
from bench.table import markdown, put
from kills.bystander import Bystander, open_bystander
from kills.checks import Checks
from kills.faults import Blow
from kills.findings import Findings, keep, summary, table
from kills.ground import Ground, open_ground
from kills.plan import CELLS, Fault, Plan, plan_of
from kills.servers import another_build, open_server
from kills.story import Story
from support.described import describe_once
from support.engine_proxy import EngineProxy, open_proxy
from support.peers import Peer
from support.real_engine import open_ground as open_engine_ground

from ws_mcp.core.engine.docker import DockerEngine

BOUND_S = 150.0
ROOT = Path(__file__).parents[2]
KEPT = ROOT / "bench-results" / "kills.json"
PAGE = ROOT / "docs" / "soak.md"


@dataclass(frozen=True)
class Stage:
    """What many runs share."""

    directory: Path
    engine: DockerEngine
    bystander: Bystander


@asynccontextmanager
async def open_stage(directory: Path) -> AsyncGenerator[Stage]:
    """An engine with the test image, and another instance on it."""
    engine = DockerEngine("")
    try:
        async with open_bystander(directory / "bystander", engine) as bystander:
            yield Stage(directory, engine, bystander)
    finally:
        await engine.aclose()


async def run(seed: int, stage: Stage) -> Findings:
    """One seed, from an empty state directory; what it finds is never an exception."""
    findings, began_at = Findings(seed=seed), anyio.current_time()
    plan = plan_of(seed)
    directory = stage.directory / f"{seed}-{os.urandom(3).hex()}"
    try:
        with anyio.fail_after(BOUND_S):
            async with (
                open_ground(directory, stage.engine) as ground,
                open_proxy(directory / "docker.sock") as proxy,
            ):
                await _story(plan, ground, proxy, stage, findings)
    except Exception as error:  # noqa: BLE001 - one run must not end the others
        findings.other.append("".join(traceback.format_exception(error))[-3000:])
    findings.foreign += await stage.bystander.touched()
    findings.seconds = anyio.current_time() - began_at
    return findings


async def _story(plan: Plan, ground: Ground, proxy: EngineProxy, stage: Stage, findings: Findings) -> None:
    story, state = Story(plan=plan), ground.state.directory
    door = "stdio" if plan.fault is Fault.UPGRADE else plan.door  # a fork has one execd, and HTTP another user
    async with AsyncExitStack() as servers:
        survivor: Peer | None = None
        if plan.fault is Fault.ONE_OF_TWO:
            survivor = await servers.enter_async_context(open_server(state, door, proxy.url))
        async with open_server(state, door, proxy.url) as victim:
            await story.begin(victim)
            await ground.add_strangers()
            blow = Blow(plan, ground, story, victim)
            await _meet(blow, victim, proxy, stage, findings)
            checks = Checks(ground, story, findings, blow.hit)
            if plan.fault.is_of_place:
                await _look_at(checks, victim, knows_all=True)
            if plan.fault.is_of_place or plan.fault is Fault.PAUSED_SERVER:
                await victim.kill()
        if survivor is not None:
            await _look_at(checks, survivor, knows_all=False)
        environment = another_build(stage.directory / "another") if plan.fault is Fault.UPGRADE else None
        began_at = anyio.current_time()
        async with open_server(state, door, proxy.url, environment) as peer:
            findings.started_s = anyio.current_time() - began_at
            await checks.settled()
            await _look_at(checks, peer, knows_all=False)
            checks.bridges(2 if survivor is not None else 1)
            await checks.provision_again(peer)
            await checks.nothing_stays(peer)
    findings.processes = len(story.records)


async def _look_at(checks: Checks, peer: Peer, *, knows_all: bool) -> None:
    await checks.act(peer)
    await checks.processes(peer, knows_all=knows_all)


async def _meet(blow: Blow, victim: Peer, proxy: EngineProxy, stage: Stage, findings: Findings) -> None:
    """The act and the fault, at the same time."""
    blow.watch(proxy)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(blow.story.play, victim)
            if blow.story.plan.fault is Fault.ONE_OF_TWO_INSTANCES:
                tasks.start_soon(stage.bystander.works)
            findings.was_in_time = await blow.strike()
    finally:
        proxy.is_fatal = lambda _call: False


async def run_all(seeds: Sequence[int]) -> list[Findings]:
    """Many, one after the other; how far it is goes to stderr."""
    done: list[Findings] = []
    with tempfile.TemporaryDirectory(prefix="wsmcp-kills-") as directory:
        async with open_stage(Path(directory)) as stage:
            for seed in seeds:
                done.append(await run(seed, stage))
                took = f"{done[-1].seconds:.1f} s"
                print(f"{len(done)}/{len(seeds)}  {took}  {done[-1]}", file=sys.stderr, flush=True)
    return done


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, nargs="+", help="only these")
    parser.add_argument("--runs", type=int, default=int(os.environ.get("KILLS", len(CELLS))))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="put the table into docs/soak.md")
    given = parser.parse_args()
    describe_once()
    seeds = given.seed or range(given.first, given.first + given.runs)
    with open_engine_ground(is_required=True):
        done = anyio.run(partial(run_all, seeds))
    print(table(done))
    if given.write:
        put(PAGE, "kills", markdown(summary(done)))
    if not given.seed:
        keep(KEPT, done, f"{platform.machine()}, {os.cpu_count()} processors")
    return int(any(each.broken for each in done))


if __name__ == "__main__":
    sys.exit(main())
