"""Networks of workspaces: each its own, shared ones by name within a chat, none; and more of them than engines have."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import anyio
import pytest
from support.instances import Instance
from support.peers import Json, Peer
from support.real_engine import EngineGround
from support.soaked import IS_LONG
from support.tier_probe import output_of

from ws_mcp.core.clock import utc_now
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.errors import EngineNotFoundError
from ws_mcp.core.ids import ChatId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.state import open_state
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.ledger import Intent, IntentKind, Ledger
from ws_mcp.core.workspaces.objects import Objects, Owner

SERVE = "echo hello > index.html; exec httpd -f -p 8080 -h /workspace"
MANY = 40  # engines have address ranges of their own for about 30
FEW = 8  # with `make soak` as many on Podman, which takes a second for each
AT_ONCE = 8


async def serving(peer: Peer, workspace: str) -> str:
    """The address at which a workspace serves a page now."""
    await peer.start(SERVE, workspace=workspace, wait_s=0)
    await output_of(peer, "until wget -q -O /dev/null http://127.0.0.1:8080/; do sleep 0.05; done", workspace)
    return await output_of(peer, "ip -4 -o addr show eth0 | sed 's/.*inet //; s,/.*,,'", workspace)


async def fetched(peer: Peer, workspace: str, host: str) -> str:
    """What a workspace gets from another, "" if it does not reach it."""
    return await output_of(peer, f"timeout 3 wget -q -O- http://{host}:8080/ 2>/dev/null; true", workspace)


async def all_fetched(peer: Peer, ways: Sequence[tuple[str, str]]) -> list[str]:
    """The same for several, side by side: what is not reached is waited for."""
    found = dict[int, str]()

    async def fetch(number: int, workspace: str, host: str) -> None:
        found[number] = await fetched(peer, workspace, host)

    async with anyio.create_task_group() as tasks:
        for number, way in enumerate(ways):
            tasks.start_soon(fetch, number, *way)
    return [found[number] for number in range(len(ways))]


@pytest.mark.long("podman")
async def test_two_workspaces_reach_each_other_by_name_in_a_shared_network_and_not_at_all_otherwise(
    each_instance: Instance,
) -> None:
    team: Json = {"options": {"network": "team"}}
    with anyio.fail_after(110):
        async with each_instance.open_peer() as peer:
            for name, more in (("one", {}), ("two", {}), ("red", team), ("blue", team)):
                made = await peer.ok("provision_workspace", name=name, **more)
                assert cast("Json", made["workspace"])["network"] == ("team" if more else "own")
            assert len(each_instance.networks) == 3
            alone, shared = await serving(peer, "one"), await serving(peer, "red")
            ways = (("one", alone), ("two", alone), ("blue", alone), ("two", shared), ("blue", shared))
            assert await all_fetched(peer, ways) == ["hello", "", "", "", "hello"]
            # A Podman without its plugin for names has none: then the gateway is no name server.
            names = "grep -c $(ip route | sed -n 's/default via //; s/ .*//p' | head -1) /etc/resolv.conf"
            has_names = not each_instance.is_podman or await output_of(peer, names, "blue") != "0"
            assert await fetched(peer, "blue", "red") == ("hello" if has_names else "")

            # Another chat's network of that name is another one.
            other = str((await peer.ok("provision_workspace", name="green", chat="new", **team))["chat"])
            away = await peer.start(f"timeout 3 wget -q -O- http://{shared}:8080/ || echo none", wait_s=30, chat=other)
            assert (await peer.read(away, chat=other)).output.strip().endswith("none")
            await peer.ok("remove_workspace", name="green", keep_data=False, chat=other)

            # A shared one stays as long as anybody is in it.
            await peer.ok("remove_workspace", name="red", keep_data=False)
            assert len(each_instance.networks) == 3
            await peer.ok("remove_workspace", name="blue", keep_data=False)
            assert len(each_instance.networks) == 2

            answer = await peer.ok("provision_workspace", name="two", options={"network": "none"})
            assert (answer["change"], answer["reasons"]) == ("recreated", ["network is 'own', not 'none'"])
            assert await output_of(peer, "ls /sys/class/net", "two") == "lo"
            for name in ("one", "two"):
                await peer.ok("remove_workspace", name=name, keep_data=False)
            assert each_instance.networks == []


async def test_a_shared_network_stays_for_a_workspace_that_is_stopped(each_instance: Instance) -> None:
    with anyio.fail_after(110):
        async with each_instance.open_peer() as peer:
            for name in ("red", "blue"):
                await peer.ok("provision_workspace", name=name, options={"network": "team"})
            await peer.ok("stop_workspace", name="blue")
            await peer.ok("remove_workspace", name="red", keep_data=False)
            assert len(each_instance.networks) == 1
            assert (await peer.ok("provision_workspace", name="blue"))["change"] == "started"
            await peer.ok("remove_workspace", name="blue", keep_data=False)
            assert each_instance.networks == []


async def test_a_network_that_cannot_be_is_refused_and_makes_nothing(instance: Instance) -> None:
    bad = ("host", "container:abc", "Bad Name", "-x", "a" * 80, "../x", "")
    with anyio.fail_after(75):
        async with instance.open_peer() as peer:
            for network in bad:
                await peer.refused("provision_workspace", options={"network": network})
            refusal = await peer.refused("provision_workspace", tier=1, options={"network": "team"})
            assert "tier 1 has no network" in refusal
            refusal = await peer.refused("provision_workspace", ports=[80], options={"network": "none"})
            assert "can publish no port" in refusal
        assert (instance.containers, instance.networks) == ([], [])


@pytest.mark.long  # contract/test_engine_networks.py has ranges that are taken
async def test_the_networks_of_forty_workspaces_find_room_on_an_engine(
    each_ground: EngineGround, tmp_path: Path
) -> None:
    scope = Scope(principal=PrincipalId("local:0"), chat=ChatId("c1"))
    engine = DockerEngine(each_ground.address)
    limiter = anyio.Semaphore(AT_ONCE)
    many = MANY if IS_LONG or not each_ground.address else FEW
    subnets: set[str] = set()
    names: list[str] = []

    async def make(number: int) -> None:
        workspace = WorkspaceName(f"w{number}")
        place = naming.place_name(state.instance.id, scope, workspace)
        intent = Intent(place=place, kind=IntentKind.PROVISION, objects=())
        owner = Owner(instance=state.instance.id, key=state.instance.key, scope=scope, workspace=workspace)
        name = naming.own_network_name(place)
        names.append(name)
        async with limiter:
            await Objects(engine, ledger, intent, owner).ensure_network(name)
            subnets.update((await engine.inspect_network(name)).subnets)

    async def unmake(name: str) -> None:
        async with limiter:
            try:
                await engine.remove_network(name)
            except EngineNotFoundError:
                return

    with anyio.fail_after(100):
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.aclose)
            state = await stack.enter_async_context(open_state(tmp_path / "state"))
            ledger = Ledger(state, utc_now)
            try:
                async with anyio.create_task_group() as tasks:
                    for number in range(many):
                        tasks.start_soon(make, number)
            finally:
                with anyio.CancelScope(shield=True):
                    async with anyio.create_task_group() as tasks:
                        for name in names:
                            tasks.start_soon(unmake, name)
    assert len(subnets) == many
