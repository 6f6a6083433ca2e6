"""Three real machines of a swarm: a workspace beside a bare service, processes from afar, a long list, a lost node."""

from __future__ import annotations

import json
import secrets
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import anyio
from support.images import BUSYBOX
from support.swarm_nodes import SwarmEngine, SwarmGround, open_swarm, swarm_missing

from tests.bench import table
from tests.bench.ground import host, settle
from tests.bench.table import Line
from tests.support.raw_client import Json, RawClient, open_raw_client, timed
from ws_mcp.core.database import instance_of
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.model import ContainerSpec
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.stores.sqlite import open_whole
from ws_mcp.core.workspaces import naming

FACTOR, MORE_S = 1.5, 0.3  # what a provision may take: so many times the bare service, and so much
CALLS = 20  # of a start and a read on each side, each round
LISTED, LIST_S = 200, 0.05
LATER_S = 5.0  # that a lost node may be seen after Swarm has seen it
WAIT_S = 60.0
LABELS = "{{json .Config.Labels}}"
RESERVED = (
    "{{.Spec.TaskTemplate.Resources.Reservations.NanoCPUs}} {{.Spec.TaskTemplate.Resources.Reservations.MemoryBytes}}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """A server of ours on the first of three machines; the engines of the others it has over the network."""

    ground: SwarmGround
    ours: RawClient
    state: Path

    @property
    def first(self) -> SwarmEngine:
        """The machine whose engine is at `--engine`."""
        return self.ground.nodes[0]

    def provision(self, name: str) -> Json:
        """A workspace that must be there then."""
        answer = self.ours.ok("provision_workspace", name=name).structured
        while answer["change"] == "working":
            answer = self.ours.ok("provision_workspace", name=name).structured
        return cast("Json", answer["workspace"])

    def remove(self, name: str) -> None:
        """It and its data."""
        self.ours.ok("remove_workspace", name=name, keep_data=False)

    def states(self) -> dict[str, str]:
        """What the list says of each workspace."""
        found = cast("list[Json]", self.ours.ok("list_containers").structured["workspaces"])
        return {str(each["name"]): str(each["state"]) for each in found}


@contextmanager
def open_hosts() -> Generator[Hosts]:
    """The swarm and the server; nothing of it is left."""
    with open_swarm() as ground, tempfile.TemporaryDirectory(prefix="ws-mcp-bench-") as directory:
        state = Path(directory) / "state"
        places = ("--engine", ground.nodes[0].url, "--placement", "swarm", "--node", "*=tcp://{address}:2375")
        more = ("--state", str(state), "--image", BUSYBOX, "--workspaces", "300")
        argv = (sys.executable, "-m", "ws_mcp", "stdio", *places, *more)
        with open_raw_client(argv, log=Path(directory) / "server.log") as ours:
            yield Hosts(ground=ground, ours=ours, state=state)


def measure_hosts(rounds: int) -> list[Line]:
    """All lines; none, with the reason on stderr, where there cannot be a swarm."""
    if reason := swarm_missing():
        print(f"(no swarm here: {reason})", end=" ", file=sys.stderr, flush=True)
        return []
    with open_hosts() as hosts:
        warm = _name()
        hosts.provision(warm)  # brings execd and what holds a room to the nodes
        lines = _provisions(hosts, warm, rounds)
        hosts.remove(warm)
        lines += _processes(hosts, rounds)
        lines += _list(hosts)
        return [*lines, _lost(hosts)]


def machine() -> str:
    """One line about where this ran, without names."""
    return host("three engines of Docker in network namespaces of their own, ")


def _provisions(hosts: Hosts, warm: str, rounds: int) -> list[Line]:
    """In turn with a bare service of the same image and the same reservation."""
    first = hosts.first
    room = first.docker("service", "ls", "--quiet", "--filter", f"label={naming.WORKSPACE}={warm}")
    cpus, memory = first.docker("service", "inspect", "--format", RESERVED, room).split()
    flags = ("--reserve-cpu", str(int(cpus) / 1e9), "--reserve-memory", memory, "--restart-condition", "none")
    ours, bare = list[float](), list[float]()
    for _ in range(rounds):
        name = _name()
        bare.append(timed(lambda name=name: _run_service(first, name, flags)))
        first.docker("service", "rm", name)
        settle()
        name = _name()
        ours.append(timed(lambda name=name: hosts.provision(name)))
        hosts.remove(name)
        settle()
    return [
        _within(
            "three hosts: provision_workspace until execd answers / docker service create until it runs",
            ours,
            bare,
            MORE_S,
            table.duration(MORE_S),
        )
    ]


def _run_service(node: SwarmEngine, name: str, flags: Sequence[str]) -> None:
    node.docker("service", "create", "--detach", "--quiet", "--name", name, *flags, BUSYBOX, "sleep", "3600")
    with _deadline(f"service {name} to run") as check:
        while "Running" not in node.docker("service", "ps", "--format", "{{.CurrentState}}", name):
            check()


def _processes(hosts: Hosts, rounds: int) -> list[Line]:
    """On the machine of the server and on another one, call by call in turn."""
    made = {str(w["node"]): str(w["name"]) for w in (hosts.provision(_name()) for _ in range(3))}
    near = made[hosts.first.hostname]
    far_node, far = next(item for item in made.items() if item[1] != near)
    trips = [_round_trip(hosts.ground.node(far_node).address) for _ in range(CALLS)]
    starts: dict[str, list[float]] = {near: [], far: []}
    reads: dict[str, list[float]] = {near: [], far: []}
    for _ in range(rounds * CALLS):
        for name in (near, far):
            started = hosts.ours.ok("start_process", command="true", workspace=name)
            starts[name].append(started.seconds)
            process = started.structured["process_id"]
            reads[name].append(hosts.ours.ok("read_output", process_id=process).seconds)
    for name in made.values():
        hosts.remove(name)
    trip, words = statistics.median(trips), f"a round trip ({table.duration(statistics.median(trips))})"
    return [
        _within(
            "three hosts: start_process until it ended, on another node / here", starts[far], starts[near], trip, words
        ),
        _within("three hosts: read_output, on another node / here", reads[far], reads[near], trip, words),
    ]


def _list(hosts: Hosts) -> list[Line]:
    """Containers on all nodes that were never started: the claim is about the list, which shows all."""
    name = _name()
    hosts.provision(name)
    container = {
        n.hostname: n.docker("ps", "-q", "--filter", f"label={naming.WORKSPACE}={name}") for n in hosts.ground.nodes
    }
    hostname, found = next((where, each) for where, each in container.items() if each)
    labels = cast(
        "dict[str, str]", json.loads(hosts.ground.node(hostname).docker("inspect", "--format", LABELS, found))
    )
    anyio.run(_make_many, hosts, labels, LISTED - 1)
    with _deadline(f"{LISTED} workspaces to be listed") as check:
        while len(hosts.states()) < LISTED:
            check()
            settle()
    took = [hosts.ours.ok("list_containers").seconds for _ in range(CALLS)]
    line = f"three hosts: list_containers with {LISTED} workspaces on them"
    note = f"(p95 {table.duration(table.p95(took))})"
    return [table.below(line, table.p50(took), LIST_S, table.duration, note)]


async def _make_many(hosts: Hosts, labels: dict[str, str], count: int) -> None:
    with closing(open_whole(hosts.state)) as database:
        instance = instance_of(database)
    scope, more = naming.scope_of(labels), {naming.TIER: labels[naming.TIER], naming.SPEC: labels[naming.SPEC]}

    async def make(node: SwarmEngine, number: int) -> None:
        engine = DockerEngine(node.url)
        for _ in range(number):
            workspace = WorkspaceName(_name())
            place = naming.place_name(instance.id, scope, workspace)
            signed = naming.labels_of(
                instance.id, instance.key, kind="container", name=place, scope=scope, workspace=workspace, more=more
            )
            await engine.create(ContainerSpec(name=place, image=BUSYBOX, command=("true",), labels=signed))
        await engine.aclose()

    nodes = hosts.ground.nodes
    async with anyio.create_task_group() as tasks:
        for at, node in enumerate(nodes):
            tasks.start_soon(make, node, len(range(at, count, len(nodes))))


def _lost(hosts: Hosts) -> Line:
    """A machine without power: when the list says so, less when the managers do (`docker node ls`)."""
    victim = hosts.ground.nodes[-1]
    seen: list[float] = []

    def watch() -> None:
        with _deadline(f"the managers to miss {victim.hostname}") as check:
            while "Down" not in hosts.first.docker(
                "node", "ls", "--filter", f"name={victim.hostname}", "--format", "{{.Status}}"
            ):
                check()
        seen.append(time.perf_counter())

    watcher = threading.Thread(target=watch)
    hosts.ground.kill(victim.hostname)
    began = time.perf_counter()
    watcher.start()
    with _deadline(f"the list to miss {victim.hostname}") as check:
        while "unknown" not in hosts.states().values():
            check()
            time.sleep(0.05)
    ours = time.perf_counter() - began
    watcher.join()
    swarm = seen[0] - began
    return Line(
        name="three hosts: kill -9 of a node until list_containers says unknown / docker node ls says Down",
        ours=table.duration(ours),
        alternative=table.duration(swarm),
        ratio=f"{ours - swarm:+.2f} s",
        target=f"<= {LATER_S:g} s later",
        holds=ours - swarm <= LATER_S,
    )


def _within(name: str, ours: list[float], other: list[float], more_s: float, more: str) -> Line:
    mine, theirs = table.p50(ours), table.p50(other)
    return Line(
        name=name,
        ours=table.spread(ours),
        alternative=table.spread(other),
        ratio=f"{mine / theirs:.2f}x",
        target=f"<= {FACTOR:g}x + {more}",
        holds=mine <= FACTOR * theirs + more_s,
    )


def _round_trip(address: str) -> float:
    """Until a connection is there: one packet to the other machine, and one back."""
    return timed(lambda: socket.create_connection((address, 2375)).close())


@contextmanager
def _deadline(what: str) -> Generator[Callable[[], None]]:
    until = time.monotonic() + WAIT_S

    def check() -> None:
        if time.monotonic() > until:
            raise TimeoutError(f"waited {WAIT_S:g} s for {what}")

    yield check


def _name() -> str:
    return f"bench-{secrets.token_hex(4)}"
