"""Workspaces: how long one takes beside `docker run -d`, how long it takes to find it again, 50 at once, 200 listed."""

from __future__ import annotations

import json
import secrets
import shlex
import subprocess
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import anyio

from tests.bench import table
from tests.bench.at_once import CREATES, at_once
from tests.bench.counting import open_counting
from tests.bench.docker_run import Alternatives
from tests.bench.ground import IMAGE, LABELS, Ground, settle
from tests.bench.table import Line
from tests.support.docker_cli import docker
from tests.support.raw_client import Call, RawClient, open_raw_client, timed
from ws_mcp.core.database import instance_of
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.model import ContainerSpec, ContainerState
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.stores.sqlite import open_whole
from ws_mcp.core.workspaces import naming

FACTOR, MORE_S = 1.5, 0.15  # what one provision may take: so many times `docker run -d`, and so much
REPEATS = 20
AT_ONCE = 50
CALLS = 2  # of the engine, to see that nothing is to be done
LISTED = 200


def measure_one(ground: Ground, rounds: int) -> list[Line]:
    """One at a time, in turn with `docker run -d` of the same request; then each of ours again, unchanged."""
    ours, by_run, again = ([] for _ in range(3))
    others = Alternatives(request=_request(ground))
    try:
        for _ in range(rounds):
            network, run = others.argvs(_name())
            _run_at_once([network])
            by_run.append(timed(lambda run=run: _run_at_once([run])))
            settle()
            with open_workspace(ground.ours) as (name, took):
                ours.append(took)
                again += [ground.ours.ok("provision_workspace", name=name).seconds for _ in range(REPEATS)]
            settle()
    finally:
        others.clear()
    return [
        Line(
            name="provision_workspace until execd answers / docker run -d",
            ours=table.spread(ours),
            alternative=table.spread(by_run),
            ratio=f"{table.p50(ours) / table.p50(by_run):.2f}x",
            target=f"<= {FACTOR:g}x + {table.duration(MORE_S)}",
            holds=table.p50(ours) <= FACTOR * table.p50(by_run) + MORE_S,
        ),
        table.below("provision_workspace again, unchanged", table.p50(again), 0.03, table.duration, _p95(again)),
        _calls(ground),
    ]


def measure_fifty(ground: Ground, rounds: int) -> list[Line]:
    """50 at once, in turn with as many `docker run -d`, each in a network of its own, too.

    One that fails ends the benchmark.
    """
    ours, by_run = ([] for _ in range(2))
    others = Alternatives(request=_request(ground))
    for _ in range(rounds):
        try:
            argvs = [_one_after_the_other(*others.argvs(_name())) for _ in range(AT_ONCE)]
            by_run.append(AT_ONCE / timed(lambda argvs=argvs: _run_at_once(argvs)))
        finally:
            others.clear()
        settle()
        names = [_name() for _ in range(AT_ONCE)]
        ours.append(AT_ONCE / timed(lambda names=names: _provision_all(ground.ours, names)))
        _remove_all(ground.ours, names)
        settle()
    mine, alternative = table.p50(ours), table.p50(by_run)
    name = f"{AT_ONCE} provision_workspace at once / docker network create + docker run -d"
    return [table.at_least(name, table.rate(mine), table.rate(alternative), mine / alternative, 1)]


def measure_list(ground: Ground, count: int) -> list[Line]:
    """List containers of one chat. They were never started: the claim is about the list, which shows all."""
    with open_workspace(ground.ours) as (name, _):
        labels = labels_of(name)
        anyio.run(make_many, ground.state, labels, count - 1)
        while len(cast("list[object]", ground.ours.ok("list_containers").structured["workspaces"])) < count:
            settle()  # until the events were heard
        took = [ground.ours.ok("list_containers").seconds for _ in range(REPEATS)]
        noop = [ground.empty.ok("noop").seconds for _ in range(REPEATS)]
        anyio.run(remove_many, labels[naming.INSTANCE])
    note = f"(p95 {table.duration(table.p95(took))}; no-op call {table.duration(table.p50(noop))})"
    return [table.below(f"list_containers with {count} of them", table.p50(took), 0.01, table.duration, note)]


def _request(ground: Ground) -> Mapping[str, object]:
    """What the engine would be told for a workspace with all defaults."""
    answer = ground.ours.ok("provision_workspace", name=_name(), options={"dry_run": True})
    return cast("Mapping[str, object]", answer.structured["request"])


def _calls(ground: Ground) -> Line:
    """Requests to the engine during a repeated call, counted in front of a second server on the same state."""
    counts: list[float] = []
    with (
        TemporaryDirectory(prefix="ws-mcp-bench-") as directory,
        open_counting(Path(directory) / "sock") as counting,
        open_raw_client((*ground.argv, "--engine", counting.url)) as second,
        open_workspace(second) as (workspace, _),
    ):
        for _ in range(REPEATS):
            counting.count = 0
            second.ok("provision_workspace", name=workspace)
            counts.append(counting.count)
    asked = table.p50(counts)  # of many: now and then the server looks by itself, too
    name = "provision_workspace again: requests to the engine"
    return Line(name=name, ours=f"{asked:g}", target=f"<= {CALLS}", holds=asked <= CALLS)


@contextmanager
def open_workspace(client: RawClient) -> Generator[tuple[str, float]]:
    """A workspace and how long it took to make; removed at the end."""
    name = _name()
    took = timed(lambda: _provision_all(client, [name]))
    try:
        yield name, took
    finally:
        _remove_all(client, [name])


def _provision_all(client: RawClient, names: list[str]) -> None:
    """All at once; a call that waited long enough is made again, as it asks for."""
    while names:
        calls = [Call(tool="provision_workspace", arguments={"name": name}) for name in names]
        answers = client.call_all(calls, len(calls))
        changes = [str(answer.structured["change"]) for answer in answers]
        names = [name for name, change in zip(names, changes, strict=True) if change == "working"]


def _remove_all(client: RawClient, names: list[str]) -> None:
    calls = [Call(tool="remove_workspace", arguments={"name": name, "keep_data": False}) for name in names]
    client.call_all(calls, CREATES)


def _run_at_once(argvs: list[tuple[str, ...]]) -> None:
    children = [subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for argv in argvs]
    for child, argv in zip(children, argvs, strict=True):
        if child.wait(300):
            raise subprocess.CalledProcessError(child.returncode, argv)


def _one_after_the_other(*argvs: tuple[str, ...]) -> tuple[str, ...]:
    return ("sh", "-c", " && ".join(shlex.join(argv) for argv in argvs))


def labels_of(name: str) -> dict[str, str]:
    container = docker("ps", "--quiet", "--filter", f"label={naming.WORKSPACE}={name}").strip()
    return cast("dict[str, str]", json.loads(docker("inspect", "--format", LABELS, container)))


async def make_many(state: Path, labels: Mapping[str, str], count: int) -> None:
    """Containers as the server makes them, in the chat that `labels` are of, without what lies behind them."""
    with closing(open_whole(state)) as database:
        instance = instance_of(database)
    scope = naming.scope_of(labels)
    more = {label: value for label, value in labels.items() if label in (naming.TIER, naming.SPEC, naming.IMAGE)}

    async def make(engine: DockerEngine) -> None:
        workspace = WorkspaceName(_name())
        place = naming.place_name(instance.id, scope, workspace)
        signed = naming.labels_of(
            instance.id, instance.key, kind="container", name=place, scope=scope, workspace=workspace, more=more
        )
        await engine.create(ContainerSpec(name=place, image=IMAGE, command=("true",), labels=signed))

    await at_once(make, count)


async def remove_many(instance: str) -> None:
    """What was never started."""
    engine = DockerEngine()
    found = [c for c in await engine.list_containers({naming.INSTANCE: instance}) if c.state is ContainerState.CREATED]
    await engine.aclose()
    left = iter(found)

    async def remove(engine: DockerEngine) -> None:
        await engine.remove(next(left).id)

    await at_once(remove, len(found))


def _name() -> str:
    return f"bench-{secrets.token_hex(4)}"


def _p95(values: list[float]) -> str:
    return f"(p95 {table.duration(table.p95(values))})"
