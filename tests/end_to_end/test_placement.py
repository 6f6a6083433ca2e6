"""Workspaces on three real machines of a swarm: spread, used from afar, lost with their node and back, given up."""

from __future__ import annotations

import urllib.request
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import anyio
import anyio.to_thread
import pytest
from support.far_engines import make_certificate, open_proxy
from support.far_nodes import open_sshd
from support.images import BUSYBOX
from support.peers import Json, Peer, open_peer, project_of, server_argv, server_environment, text_of, until
from support.swarm_left import left_over
from support.swarm_nodes import SwarmGround
from support.tier_probe import output_of

from ws_mcp.core.state import open_state

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

WAIT_S = 60.0
LIMIT_S = 280.0  # of one test: machines start, die, and are missed
RESOLVER = "127.0.0.11"  # the engine's own, in each container
TICK = 'i=0; while true; do i=$((i+1)); echo "tick $i"; sleep 0.2; done'


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A state directory for servers on the swarm, and what they make there."""

    ground: SwarmGround
    state: Path
    id: str

    def open_peer(self, *flags: str, engine: str = "node-1") -> AbstractAsyncContextManager[Peer]:
        """A server of its own, beside the first node."""
        return open_peer(self.state, "--image", BUSYBOX, *self._doors(engine), *flags)

    async def says(self, command: str, *words: str) -> tuple[int, str]:
        """The exit code of a command of the operator, and all that it said."""
        argv = server_argv(command, self.state, *self._doors("node-1"), *words)
        done = await anyio.run_process(argv, check=False, env=server_environment(), cwd=project_of(self.state))
        return done.returncode, f"{done.stdout.decode()}{done.stderr.decode()}"

    def _doors(self, engine: str) -> tuple[str, ...]:
        return ("--engine", self.ground.node(engine).tcp, "--placement", "swarm", "--node", "*=tcp://{address}:2375")

    async def left_over(self) -> list[str]:
        """Everything of this instance on any node."""
        return await anyio.to_thread.run_sync(left_over, self.ground, self.id)

    async def clean(self) -> None:
        """Remove all of it."""
        await anyio.to_thread.run_sync(self._clean)

    def _clean(self) -> None:
        for kind, verb in (("service", "rm"), ("container", "rm"), ("volume", "rm"), ("network", "rm")):
            for line in left_over(self.ground, self.id):
                what, name = line.split()
                if what == kind:
                    for node in self.ground.nodes:
                        node.says(kind, verb, *(("--force", "--volumes") if kind == "container" else ()), name)


@pytest.fixture
async def cluster(swarm_ground: SwarmGround, tmp_path: Path):  # noqa: ANN201 - a generator
    async with open_state(tmp_path / "state") as state:
        made = Cluster(ground=swarm_ground, state=tmp_path / "state", id=state.instance.id)
    yield made
    await anyio.to_thread.run_sync(swarm_ground.mend)
    await made.clean()


async def provision(peer: Peer, name: str, **options: object) -> Json:
    """A workspace that must get ready."""
    answer = await peer.ok("provision_workspace", name=name, **options)
    while answer.get("change") == "working":
        answer = await peer.ok("provision_workspace", name=name, **options)
    return cast("Json", answer["workspace"])


async def states(peer: Peer) -> dict[str, str]:
    """The state of each workspace."""
    found = cast("list[Json]", (await peer.ok("list_containers"))["workspaces"])
    return {str(each["name"]): str(each["state"]) for each in found}


async def until_state(peer: Peer, name: str, state: str) -> float:
    """Wait until a workspace is in a state; returns how long that took."""
    began = anyio.current_time()

    async def is_so() -> bool:
        return (await states(peer)).get(name) == state

    with anyio.fail_after(WAIT_S):
        await until(is_so)
    return anyio.current_time() - began


async def test_the_same_tools_work_over_three_machines_and_leave_nothing(cluster: Cluster) -> None:
    with anyio.fail_after(LIMIT_S):
        async with cluster.open_peer() as peer:
            names = [f"w{n}" for n in range(5)]  # of two processors on each node one has to be left
            made = {name: await provision(peer, name) for name in names}
            nodes = [str(each["node"]) for each in made.values()]
            assert sorted(nodes.count(node) for node in ("node-1", "node-2", "node-3")) == [1, 2, 2]
            processes = {name: await peer.start("hostname; exec sleep 600", workspace=name) for name in names}
            for process in processes.values():
                assert "running" in (await peer.read(process, wait_s=5)).status
            for name in names[:3]:
                assert await output_of(peer, f"echo in {name} > /workspace/a; cat /workspace/a", name) == f"in {name}"
            served = await provision(peer, "served", ports=[8080], options={"secrets": {"token": "s3cr3t"}})
            assert await output_of(peer, "cat /run/secrets/token", "served") == "s3cr3t"
            await peer.start("echo hello > index.html; exec httpd -f -p 8080 -h /workspace", workspace="served")
            url = str(cast("list[Json]", served["ports"])[0]["url"])
            assert cluster.ground.node(str(served["node"])).address in url
            assert await fetched(url) == "hello"
            for name in (*names, "served"):
                await peer.ok("remove_workspace", name=name, keep_data=False)
            assert await states(peer) == {}
        assert await cluster.left_over() == []


async def fetched(url: str) -> str:
    """What a page says, as soon as it is there."""

    def get() -> str:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode().strip()

    with anyio.fail_after(WAIT_S):
        while True:
            try:
                return await anyio.to_thread.run_sync(get)
            except OSError:
                await anyio.sleep(0.1)


async def test_workspaces_of_a_chat_share_a_network_over_machines(cluster: Cluster) -> None:
    with anyio.fail_after(LIMIT_S):
        async with cluster.open_peer() as peer:
            team = {"options": {"network": "team"}}
            one, other = await provision(peer, "one", **team), await provision(peer, "other", **team)
            assert one["node"] != other["node"]
            await peer.start("echo hello > index.html; exec httpd -f -p 8080 -h /workspace", workspace="one")
            await output_of(peer, "until wget -q -O /dev/null http://127.0.0.1:8080/; do sleep 0.05; done", "one")
            address = await output_of(peer, "ip -4 -o addr show eth0 | sed 's/.*inet //; s,/.*,,'", "one")
            # A static busybox asks for names only where it is told to: its libc does not work alone.
            asked = await output_of(peer, f"nslookup one {RESOLVER}", "other")
            assert f"Address: {address}" in asked.splitlines()
            assert await output_of(peer, f"timeout 9 wget -q -O- http://{address}:8080/", "other") == "hello"
            for name in ("one", "other"):
                await peer.ok("remove_workspace", name=name, keep_data=False)
        assert await cluster.left_over() == []


@pytest.mark.long  # test_many_hosts.py kills one, too
async def test_a_node_that_is_killed_is_unknown_and_comes_back(cluster: Cluster) -> None:
    with anyio.fail_after(LIMIT_S):
        async with cluster.open_peer() as peer:
            made = {name: await provision(peer, name) for name in ("a", "b", "c")}
            processes = {name: await peer.start(TICK, workspace=name) for name in made}
            lost = next(name for name, each in made.items() if each["node"] == "node-3")
            await anyio.to_thread.run_sync(cluster.ground.kill, "node-3")
            seen_s = await until_state(peer, lost, "unknown")
            await anyio.to_thread.run_sync(cluster.ground.wait_state, "node-3", "down")
            answer = text_of(await peer.call("read_output", process_id=processes[lost]))
            assert "no process" not in answer
            assert "node-3" in answer or "not known now" in answer
            for name in made:
                if name != lost:
                    assert "running" in (await peer.read(processes[name])).status
            assert "node-3" in text_of(await peer.call("provision_workspace", name=lost))
            print(f"a killed node was seen after {seen_s:.1f} s")
        async with cluster.open_peer() as peer:
            assert (await states(peer))[lost] == "unknown"
            answer = text_of(await peer.call("read_output", process_id=processes[lost]))
            assert "not known now" in answer
            await anyio.to_thread.run_sync(cluster.ground.start, "node-3")
            await until_state(peer, lost, "stopped")
            again = await provision(peer, lost)
            assert again["node"] == "node-3"
            for name in made:
                await peer.ok("remove_workspace", name=name, keep_data=False)
        assert await cluster.left_over() == []


@pytest.mark.long("from the other nodes")
@pytest.mark.parametrize("peers", [("server",), ("node-1", "node-2")], ids=["from this server", "from the other nodes"])
async def test_a_node_that_is_cut_off_is_unknown_and_its_processes_are_there_again_without_a_gap(
    cluster: Cluster, peers: tuple[str, ...]
) -> None:
    with anyio.fail_after(LIMIT_S):
        async with cluster.open_peer() as peer:
            made = {name: await provision(peer, name) for name in ("a", "b", "c")}
            processes = {name: await peer.start(TICK, workspace=name, wait_s=0) for name in made}
            lost = next(name for name, each in made.items() if each["node"] == "node-3")
            await anyio.to_thread.run_sync(cluster.ground.cut, "node-3", *peers)
            seen_s = await until_state(peer, lost, "unknown")
            for name in made:
                if name != lost:
                    assert "running" in (await peer.read(processes[name])).status
            answer = text_of(await peer.call("provision_workspace", name=lost))
            assert "node-3" in answer, answer
            await anyio.to_thread.run_sync(cluster.ground.heal, "node-3")
            back_s = await until_state(peer, lost, "running")
            page = await peer.read(processes[lost], offset=0)
            assert "running" in page.status
            lines = page.output.splitlines()
            assert lines == [f"tick {number}" for number in range(1, len(lines) + 1)]
            assert len(await containers(cluster)) == 3  # nothing was made twice
            print(f"a node that was cut off was seen after {seen_s:.1f} s, and back after {back_s:.1f} s")
            for name in made:
                await peer.ok("remove_workspace", name=name, keep_data=False)
        assert await cluster.left_over() == []


async def containers(cluster: Cluster) -> list[str]:
    """Those of the instance on all nodes."""
    return [each for each in await cluster.left_over() if each.startswith("container ")]


async def test_what_a_dead_node_had_is_given_up_and_goes_when_it_is_back(cluster: Cluster) -> None:
    with anyio.fail_after(LIMIT_S):
        async with cluster.open_peer() as peer:
            made = {name: await provision(peer, name) for name in ("a", "b", "c")}
            lost = next(name for name, each in made.items() if each["node"] == "node-3")
            assert await output_of(peer, "echo old > /workspace/kept; cat /workspace/kept", lost) == "old"
            code, said = await cluster.says("replace", lost)
            assert (code, "is ready" in said) == (1, True), said
            await anyio.to_thread.run_sync(cluster.ground.kill, "node-3")
            await anyio.to_thread.run_sync(cluster.ground.wait_state, "node-3", "down")
            await until_state(peer, lost, "unknown")
            assert "does not answer" in await peer.refused("provision_workspace", name=lost)
            code, said = await cluster.says("replace", lost)
            assert (code, "node-3" in said) == (0, True), said
            again = await provision(peer, lost)
            assert again["node"] in ("node-1", "node-2")
            assert await output_of(peer, "ls /workspace", lost) == ""
            await anyio.to_thread.run_sync(cluster.ground.start, "node-3")
            await until_none(cluster, "container")
            assert await states(peer) == {"a": "running", "b": "running", "c": "running"}
            code, said = await cluster.says("sweep", "--data", "--older-than", "0s", "--apply")
            assert (code, "volume" in said) == (0, True), said
            await until_none(cluster, "volume")
            for name in made:
                await peer.ok("remove_workspace", name=name, keep_data=False)
        assert await cluster.left_over() == []


async def until_none(cluster: Cluster, kind: str) -> None:
    """Wait until nothing of a kind is on the third node; the upkeep comes once a minute."""
    node, mine = cluster.ground.node("node-3"), ("--filter", "label=dev.ws-mcp.workspace")
    look = (kind, "ls", *(("--all",) if kind == "container" else ()), *mine, "--quiet")

    async def is_so() -> bool:
        return not await anyio.to_thread.run_sync(node.docker, *look)

    with anyio.fail_after(2 * WAIT_S):
        await until(is_so)


@pytest.mark.long  # core/placement has it with a swarm in memory
async def test_workspaces_on_a_drained_node_run_on_and_new_ones_go_elsewhere(cluster: Cluster) -> None:
    with anyio.fail_after(LIMIT_S):
        async with cluster.open_peer() as peer:
            made = {name: await provision(peer, name) for name in ("a", "b", "c")}
            stays = next(name for name, each in made.items() if each["node"] == "node-3")
            process = await peer.start(TICK, workspace=stays)
            first = cluster.ground.node("node-1")
            await anyio.to_thread.run_sync(first.docker, "node", "update", "--availability", "drain", "node-3")

            async def is_noted() -> bool:
                return "take nothing new" in str((await peer.workspaces())[stays].get("notes"))

            with anyio.fail_after(WAIT_S):
                await until(is_noted)
            new = [await provision(peer, name) for name in ("d", "e")]
            assert {each["node"] for each in new} <= {"node-1", "node-2"}
            seen = await peer.read(process)
            assert "running" in (await peer.read(process, offset=seen.next_offset, wait_s=5)).status
            assert await states(peer) == dict.fromkeys(("a", "b", "c", "d", "e"), "running")
            code, said = await cluster.says("doctor", "--image", BUSYBOX)
            assert "takes nothing new (drain)" in said, (code, said)
            for name in ("a", "b", "c", "d", "e"):
                await peer.ok("remove_workspace", name=name, keep_data=False)
        assert await cluster.left_over() == []


async def test_nodes_are_reached_by_ssh_and_by_tls_each_in_its_own_way(cluster: Cluster, tmp_path: Path) -> None:
    first, second, third = cluster.ground.nodes
    certificates = tmp_path / "tls"
    certificates.mkdir()
    make_certificate(certificates)
    with anyio.fail_after(LIMIT_S), open_sshd(tmp_path / "ssh", second.url) as far:
        async with open_proxy(third.url.removeprefix("unix://"), certificates) as port:
            ways = ("--node", f"node-2={far.endpoint}", "--node", f"node-3=tcp://127.0.0.1:{port}")
            tls = ("--node-tls", f"node-3={certificates}")
            doors = ("--image", BUSYBOX, "--engine", first.url, "--placement", "swarm", *ways, *tls)
            async with open_peer(cluster.state, *doors, environment=far.environment) as peer:
                made = {name: str((await provision(peer, name))["node"]) for name in ("a", "b", "c")}
                assert sorted(made.values()) == ["node-1", "node-2", "node-3"]
                for name in made:
                    process = await peer.start("read line; echo got $line", workspace=name, keep_stdin=True, wait_s=0)
                    await peer.ok("write_input", process_id=process, text=f"hello {name}\n")
                    page = await peer.read(process, wait_for="exit", wait_s=30)
                    assert (page.output, "exited 0" in page.status) == (f"got hello {name}\n", True)
                listing = str(await peer.ok("list_containers"))
                assert str(certificates) not in listing
                assert "ssh://" not in listing
                for name in made:
                    await peer.ok("remove_workspace", name=name, keep_data=False)
        assert await cluster.left_over() == []
