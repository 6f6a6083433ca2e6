"""Three machines, two servers on one database behind a balancer, thirty workspaces of three chats; then each dies once.

What was on a machine that was lost is not known until it is back; nothing else is lost, and nobody sees another's.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import httpx2
import pytest
from mcp import MCPError
from mcp.types import CallToolResult
from support.http_ground import http_client, record_for, token_for, write_tokens
from support.images import BUSYBOX
from support.listening import free_port
from support.peers import Json, text_of
from support.postgres import Postgres
from support.round_robin import open_round_robin
from support.server_process import HttpServer, open_http
from support.soaked import IS_LONG
from support.swarm_left import left_over
from support.swarm_nodes import SwarmEngine, SwarmGround

OF_A_CHAT = int(os.environ.get("WS_MCP_HOSTS_WORKSPACES", "10" if IS_LONG else "3"))
PEOPLE = ("alice", "alice", "bob")  # two chats are of one person
SMALL = ("--size", "2.cpus=0.1", "--size", "2.memory_mib=64")  # what they are promised has to be there
GRANTED = "[limits]\nvolumes = 16\n" + "".join(
    f'[[grant]]\nprincipal = "{person}"\ntools = ["*"]\nimages = ["*"]\n' for person in dict.fromkeys(PEOPLE)
)
AT_ONCE = 4  # workspaces that are made at the same time
WITHIN_S = 840
TRUE_WITHIN_S = 60.0  # until a state is true: the 30 s, and as much for a machine that does all of this at once
TICK = 'i=0; while :; do i=$((i+1)); echo "$i"; sleep 0.5; done'


@dataclass(kw_only=True)
class Chat:
    """A chat, and what it has been told. Each call has a client of its own: one whose connection broke is of no use."""

    url: str
    person: str
    handle: str = ""
    nodes: dict[str, str] = field(default_factory=dict[str, str])  # by workspace
    processes: dict[str, str] = field(default_factory=dict[str, str])  # by workspace

    async def call(self, tool: str, **arguments: object) -> CallToolResult:
        """A call, made again if its server was killed in the middle of it: the balancer finds the other one."""
        for _ in range(20):
            try:
                async with http_client(self.url, token_for(self.person), "2026-07-28") as client:
                    return await client.call_tool(tool, {"chat": self.handle, **arguments})
            except* (MCPError, OSError, httpx2.HTTPError, anyio.ClosedResourceError):
                await anyio.sleep(0.5)
        raise AssertionError(f"no server answered {tool}")

    async def ok(self, tool: str, **arguments: object) -> Json:
        """A call that succeeds."""
        result = await self.call(tool, **arguments)
        assert not result.is_error, f"{tool} {arguments}: {text_of(result)}"
        return cast("Json", result.structured_content or {})

    async def states(self) -> dict[str, str]:
        """The state of each of its workspaces."""
        listing = await self.ok("list_containers")
        return {str(each["name"]): str(each["state"]) for each in cast("list[Json]", listing["workspaces"])}

    async def said(self, workspace: str) -> str:
        """What reading the output of its process says, whether that is an answer or a refusal."""
        return text_of(await self.call("read_output", process_id=self.processes[workspace], offset=0))

    def on(self, *nodes: str) -> list[str]:
        """Its workspaces on these nodes."""
        return [name for name, node in self.nodes.items() if node in nodes]


@dataclass(kw_only=True)
class Team:
    """Two servers as if each had a machine of its own."""

    ground: SwarmGround
    path: Path
    flags: tuple[str, ...]
    environment: Mapping[str, str]
    stack: ExitStack
    front: int
    servers: list[HttpServer] = field(default_factory=list[HttpServer])

    def start(self, name: str) -> HttpServer:
        """Start a server on a state directory of its own."""
        home = self.path / name / "state"
        home.parent.mkdir(exist_ok=True)
        server = self.stack.enter_context(open_http(home, *self.flags, environment=self.environment))
        self.servers.append(server)
        return server

    @property
    def ports(self) -> list[int]:
        """Where they listen."""
        return [urlsplit(server.url).port or 0 for server in self.servers]


@contextmanager
def open_team(ground: SwarmGround, postgres: Postgres, path: Path) -> Generator[Team]:
    front = free_port()
    tokens = write_tokens(path / "tokens", *(record_for(person) for person in dict.fromkeys(PEOPLE)))
    policy = path / "policy.toml"
    policy.write_text(GRANTED)
    swarm = (
        "--policy",
        str(policy),
        "--engine",
        ground.node("node-1").tcp,
        "--placement",
        "swarm",
        "--node",
        "*=tcp://{address}:2375",
    )
    flags = ("--image", BUSYBOX, "--tokens", str(tokens), "--allowed-host", f"127.0.0.1:{front}", *swarm, *SMALL)
    with ExitStack() as stack:
        url = postgres.url(postgres.new_database())
        environment = {"WS_MCP_STATE_DATABASE": url}
        team = Team(ground=ground, path=path, flags=flags, environment=environment, stack=stack, front=front)
        for name in ("one", "other"):
            team.start(name)
        yield team


@pytest.fixture
def team(swarm_ground: SwarmGround, postgres: Postgres, tmp_path: Path) -> Generator[Team]:
    with open_team(swarm_ground, postgres, tmp_path) as opened:
        yield opened


async def make_all(chats: list[Chat]) -> None:
    """Each chat gets its workspaces, with a process in each."""
    turns = anyio.Semaphore(AT_ONCE)

    async def make(chat: Chat, name: str) -> None:
        async with turns:
            answer = await chat.ok("provision_workspace", name=name)
            while answer["change"] == "working":
                answer = await chat.ok("provision_workspace", name=name)
            chat.nodes[name] = str(cast("Json", answer["workspace"])["node"])
            started = await chat.ok("start_process", workspace=name, command=TICK, wait_s=0, request_key=f"k-{name}")
            chat.processes[name] = str(started["process_id"])

    for chat in chats:
        chat.handle = str((await chat.ok("provision_workspace", chat="new", name="w0"))["chat"])
    async with anyio.create_task_group() as tasks:
        for chat in chats:
            for number in range(OF_A_CHAT):
                tasks.start_soon(make, chat, f"w{number}")


async def until_true(what: str, is_so: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what has to become true."""
    try:
        with anyio.fail_after(TRUE_WITHIN_S):
            while not await is_so():  # noqa: ASYNC110 - other programs make it so
                await anyio.sleep(0.5)
    except TimeoutError:
        raise AssertionError(f"it took longer than {TRUE_WITHIN_S:g} s: {what}") from None


async def check_walls(chats: list[Chat]) -> None:
    """Nobody has or sees what is another's."""
    for chat in chats:
        for other in chats:
            if other is chat:
                continue
            foreign = next(iter(other.processes.values()))
            refused = await chat.call("read_output", process_id=foreign)
            assert refused.is_error
            assert "no process" in text_of(refused) or "not known now" in text_of(refused)


async def check_alive(chats: list[Chat], *nodes: str) -> None:
    """Every process there runs on, and its output has no gap."""
    for chat in chats:
        for name in chat.on(*nodes):
            said = await chat.said(name)
            lines = [line for line in said.splitlines() if line.isdecimal()]
            assert "running" in said.splitlines()[-1], (name, chat.nodes[name], said[-300:])
            assert lines == [str(number) for number in range(1, len(lines) + 1)], said[-300:]
            assert lines


async def check_states(chats: list[Chat], state: str, *nodes: str) -> None:
    """All workspaces on these nodes are in one state, and all others run."""

    async def is_so() -> bool:
        for chat in chats:
            found = await chat.states()
            if found != {name: state if node in nodes else "running" for name, node in chat.nodes.items()}:
                return False
        return True

    await until_true(f"workspaces on {nodes} are {state}, all others run", is_so)


async def in_thread(work: Callable[..., Any], *arguments: object) -> Any:
    """Something that blocks."""
    return await anyio.to_thread.run_sync(work, *arguments)


def other_than(ground: SwarmGround, *hostnames: str) -> SwarmEngine:
    """The last node that is none of these."""
    return next(node for node in reversed(ground.nodes) if node.hostname not in hostnames)


@pytest.mark.long  # test_placement.py has a node that dies, test_side_by_side.py servers beside each other
@pytest.mark.timeout(900)
async def test_chats_on_many_hosts_lose_only_what_was_on_what_died(team: Team) -> None:
    ground = team.ground
    everywhere = [node.hostname for node in ground.nodes]
    with anyio.fail_after(WITHIN_S):
        async with open_round_robin(team.front, *team.ports) as balancer:
            chats = [Chat(url=f"http://127.0.0.1:{team.front}/mcp", person=person) for person in PEOPLE]
            await make_all(chats)
            spread = Counter(node for chat in chats for node in chat.nodes.values())
            assert set(spread) == set(everywhere), spread
            assert max(spread.values()) - min(spread.values()) <= OF_A_CHAT, spread
            await check_states(chats, "running")
            await check_alive(chats, *everywhere)
            await check_walls(chats)

            # A server dies in the middle of everything; the other goes on, and the next one in its place knows all.
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(check_alive, chats, *everywhere)
                os.kill(team.servers[0].pid, signal.SIGKILL)
            await check_states(chats, "running")
            await in_thread(team.start, "one")
            balancer.add(team.ports[-1])
            await check_alive(chats, *everywhere)

            # A machine dies that is neither the leader nor where --engine points.
            leader = await in_thread(ground.wait_leader)
            lost = other_than(ground, leader.hostname, "node-1").hostname
            await in_thread(ground.kill, lost)
            await check_states(chats, "unknown", lost)
            await check_alive(chats, *(node for node in everywhere if node != lost))
            for chat in chats:
                for name in chat.on(lost):
                    said = await chat.said(name)
                    assert "no process" not in said, said
                    assert lost in said or "not known now" in said, said
            await check_walls(chats)
            await in_thread(ground.start, lost)
            await in_thread(ground.wait_ready)
            await check_states(chats, "stopped", lost)
            for chat in chats:
                for name in chat.on(lost):
                    said = await chat.said(name)
                    assert "no process" not in said, said
                    assert "running" not in said.splitlines()[-1], said
            await restart(chats, lost)

            # The leader dies; the others elect one, and workspaces are made again.
            leader = await in_thread(ground.wait_leader)
            await in_thread(ground.kill, leader.hostname)
            await check_states(chats, "unknown", leader.hostname)
            await check_alive(chats, *(node for node in everywhere if node not in (leader.hostname, lost)))
            await in_thread(ground.wait_leader)
            answer = await chats[0].ok("provision_workspace", name="late")
            while answer["change"] == "working":
                answer = await chats[0].ok("provision_workspace", name="late")
            late = str(cast("Json", answer["workspace"])["node"])
            assert late != leader.hostname
            chats[0].nodes["late"] = late
            await in_thread(ground.start, leader.hostname)
            await in_thread(ground.wait_ready)
            await check_states(chats, "stopped", leader.hostname)

            assert min(balancer.served.values()) > 0, balancer.served
            await remove_all(chats)
    assert await in_thread(left_over, ground) == []


async def restart(chats: list[Chat], *nodes: str) -> None:
    """What stopped with its machine starts again where it was, with its data; its processes are new ones."""
    for chat in chats:
        for name in chat.on(*nodes):
            answer = await chat.ok("provision_workspace", name=name)
            while answer["change"] == "working":
                answer = await chat.ok("provision_workspace", name=name)
            assert cast("Json", answer["workspace"])["node"] == chat.nodes[name]
            started = await chat.ok("start_process", workspace=name, command=TICK, wait_s=0)
            chat.processes[name] = str(started["process_id"])


async def remove_all(chats: list[Chat]) -> None:
    """Everything, with its data."""
    for chat in chats:
        for name in chat.nodes:
            answer = await chat.ok("remove_workspace", name=name, keep_data=False)
            assert answer, name
        assert await chat.states() == {}
