"""Two HTTP servers on one PostgreSQL, behind a balancer that knows nothing: each serves what the other began."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import pytest
from mcp.server.subscriptions import ResourceUpdated
from support.docker_cli import containers_of, remove_instance
from support.http_ground import http_client, record_for, token_for, write_tokens
from support.images import BUSYBOX
from support.listening import free_port
from support.peers import Json, Peer, until
from support.postgres import Postgres
from support.real_engine import EngineGround
from support.round_robin import RoundRobin, open_round_robin
from support.server_process import HttpServer, open_http

WITHIN_S = 90


@dataclass(frozen=True, kw_only=True)
class Replicas:
    """Two servers of one instance, as if each had a machine of its own, and the address of the balancer."""

    id: str
    servers: tuple[HttpServer, HttpServer]
    front: int
    log: Path

    @asynccontextmanager
    async def peer(self, url: str = "") -> AsyncGenerator[Peer]:
        """A client of 2026-07-28, at a server or at the balancer."""
        address = url or f"http://127.0.0.1:{self.front}/mcp"
        async with http_client(address, token_for("alice"), "auto") as client:
            yield Peer(client=client, pid=0, log=self.log, updates=[])

    @asynccontextmanager
    async def balanced(self) -> AsyncGenerator[tuple[Peer, RoundRobin]]:
        """A client whose requests go to one server after the other."""
        ports = [urlsplit(server.url).port or 0 for server in self.servers]
        async with open_round_robin(self.front, *ports) as balancer, self.peer() as peer:
            yield peer, balancer

    @property
    def containers(self) -> list[str]:
        """Its containers on the engine."""
        return containers_of(self.id)


@contextmanager
def open_replicas(postgres: Postgres, path: Path) -> Generator[Replicas]:
    database, front = postgres.new_database(), free_port()
    tokens = write_tokens(path / "tokens", record_for("alice"))
    flags = ("--image", BUSYBOX, "--tokens", str(tokens), "--allowed-host", f"127.0.0.1:{front}")
    environment = {"WS_MCP_STATE_DATABASE": postgres.url(database)}
    with ExitStack() as stack:
        homes = [path / name / "state" for name in ("one", "other")]
        for home in homes:
            home.parent.mkdir()
        one, other = [stack.enter_context(open_http(home, *flags, environment=environment)) for home in homes]
        (row,) = postgres.admin("SELECT value FROM ws_mcp.meta WHERE name = 'instance'", database)
        instance = cast("bytes", row[0]).decode()
        stack.callback(remove_instance, instance)
        yield Replicas(id=instance, servers=(one, other), front=front, log=path / "none")


@pytest.fixture
def replicas(engine_ground: EngineGround, postgres: Postgres, tmp_path: Path) -> Generator[Replicas]:
    with open_replicas(postgres, tmp_path) as opened:
        yield opened


async def test_what_one_replica_began_the_other_goes_on_with(replicas: Replicas) -> None:
    with anyio.fail_after(WITHIN_S):
        async with replicas.balanced() as (peer, balancer):
            chat = str((await peer.ok("provision_workspace", chat="new"))["chat"])
            process = await peer.start("read line; echo got $line; exec sleep 60", chat=chat, keep_stdin=True, wait_s=0)
            for _ in range(2):
                assert set(await peer.processes(chat=chat)) == {process}
                assert set(await peer.workspaces(chat=chat)) == {"main"}
            await peer.ok("write_input", chat=chat, process_id=process, text="hello\n")
            page = await peer.read(process, chat=chat, offset=0, pattern="got", wait_s=20)
            assert page.output == "got hello\n"
            again = await peer.read(process, chat=chat, offset=4)
            assert again.output == "hello\n"
            await peer.ok("signal_process", chat=chat, process_id=process, signal="TERM")
            for _ in range(2):
                found = (await peer.processes(chat=chat))[process]
                assert found["state"] == "ended"
            assert min(balancer.served.values()) >= 4, balancer.served
        assert len(replicas.containers) == 1


async def test_a_call_that_is_repeated_at_the_other_replica_is_one_call(replicas: Replicas) -> None:
    with anyio.fail_after(WITHIN_S):
        async with AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(replicas.peer(server.url)) for server in replicas.servers]
            chat = str((await peers[0].ok("provision_workspace", chat="new", name="first"))["chat"])
            made: list[Json] = []
            started: list[str] = []

            async def provision(peer: Peer) -> None:
                made.append(await peer.ok("provision_workspace", chat=chat, options={"request_key": "k"}))

            async def start(peer: Peer) -> None:
                started.append(
                    await peer.start("exec sleep 60", chat=chat, workspace="main", request_key="s", wait_s=0)
                )

            for act in (provision, start):
                async with anyio.create_task_group() as tasks:
                    for peer in peers * 2:
                        tasks.start_soon(act, peer)
            assert {str(answer["change"]) for answer in made} == {"created", "none"}
            assert len(made) == 4
            assert len(set(started)) == 1
            for peer in peers:
                assert len(await peer.processes(chat=chat)) == 1
    assert len(replicas.containers) == 2


async def test_who_watches_at_one_replica_hears_what_is_done_at_the_other(replicas: Replicas) -> None:
    with anyio.fail_after(WITHIN_S):
        async with replicas.peer(replicas.servers[0].url) as doer, replicas.peer(replicas.servers[1].url) as watcher:
            chat = str((await doer.ok("provision_workspace", chat="new"))["chat"])
            uri = f"ws://chats/{chat}/processes"
            async with watcher.client.listen(resource_subscriptions=[uri]) as events:
                process = await doer.start("exec sleep 60", chat=chat, wait_s=0)
                async for event in events:
                    if isinstance(event, ResourceUpdated) and process in await watcher.resource(uri):
                        break


async def test_a_replica_that_is_killed_in_the_middle_of_a_provision_loses_nothing(replicas: Replicas) -> None:
    victim, heir = replicas.servers
    with anyio.fail_after(WITHIN_S):
        async with replicas.peer(heir.url) as peer:
            chat = str((await peer.ok("provision_workspace", chat="new"))["chat"])
            process = await peer.start("echo kept; exec sleep 60", chat=chat, wait_s=0)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_begin, replicas, victim.url, chat)
                await until(lambda: anyio.to_thread.run_sync(lambda: len(replicas.containers) == 2))
                victim.child.send_signal(signal.SIGKILL)
            made = await peer.ok("provision_workspace", chat=chat, name="second", options={"request_key": "k"})
            assert made["change"] in ("created", "none", "started")
            assert set(await peer.workspaces(chat=chat)) == {"main", "second"}
            second = await peer.start("echo whole", chat=chat, workspace="second")
            assert (await peer.read(second, chat=chat)).output == "whole\n"
            assert (await peer.read(process, chat=chat)).output == "kept\n"
            assert len(replicas.containers) == 2


async def _begin(replicas: Replicas, url: str, chat: str) -> None:
    """A call whose server is killed before it answers, or right after."""
    try:
        async with replicas.peer(url) as peer:
            await peer.call("provision_workspace", chat=chat, name="second", options={"request_key": "k"})
    except Exception:  # noqa: BLE001 - however a client says that its server is gone
        pass
