"""The contract of the engine door: networks."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

import pytest
from support.engine_contract import Ground, NewName, OnDocker, OnFake, OnPodman
from support.images import BUSYBOX

from ws_mcp.core.engine.model import ContainerSpec, ExecSpec, Network
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineConflictError, EngineNotFoundError, InvalidArgumentError, SubnetTakenError
from ws_mcp.core.ids import ContainerId

_NUMBERS = itertools.count()
SLEEP = ("sleep", "1000")


@pytest.fixture
def new_subnet() -> Callable[[], str]:
    """Subnets that nobody else has: by this process and a number."""
    process = os.getpid()

    def new() -> str:
        number = next(_NUMBERS) % 16
        return f"10.{128 + process // 256 % 128}.{process % 256}.{number * 16}/28"

    return new


class NetworksContract(Ground):
    """A network is made as asked for, says what it is, and is there for its containers only."""

    async def joined(self, engine: Engine, name: str, network: str, *aliases: str) -> ContainerId:
        spec = ContainerSpec(name=name, image=BUSYBOX, command=SLEEP, network=network, network_aliases=aliases)
        container = await engine.create(spec)
        await engine.start(container)
        return container

    async def test_a_network_is_what_was_asked_for(
        self, engine: Engine, new_name: NewName, new_subnet: Callable[[], str]
    ) -> None:
        name, subnet = new_name(), new_subnet()
        await engine.create_network(name, {"test.net": name}, is_internal=True, subnet=subnet)
        found = await engine.inspect_network(name)
        assert found.labels["test.net"] == name
        assert (found.name, found.driver, found.subnets, found.is_internal, found.containers) == (
            name,
            "bridge",
            (subnet,),
            True,
            0,
        )
        container = await self.joined(engine, new_name(), name)
        assert (await engine.inspect_network(name)).containers == 1
        (listed,) = await engine.list_networks({"test.net": name})
        assert (listed.name, listed.labels, listed.subnets) == (found.name, found.labels, found.subnets)
        await engine.remove(container)
        assert (await engine.inspect_network(name)).containers == 0
        await engine.remove_network(name)

    async def test_without_a_subnet_the_engine_finds_one(self, engine: Engine, new_name: NewName) -> None:
        one, two = new_name(), new_name()
        found: list[Network] = []
        for name in (one, two):
            await engine.create_network(name, {}, is_internal=False)
            found.append(await engine.inspect_network(name))
        assert [len(network.subnets) for network in found] == [1, 1]
        assert found[0].subnets != found[1].subnets
        assert not found[0].is_internal

    async def test_a_subnet_that_overlaps_is_taken(
        self, engine: Engine, new_name: NewName, new_subnet: Callable[[], str]
    ) -> None:
        name, subnet = new_name(), new_subnet()
        await engine.create_network(name, {}, is_internal=False, subnet=subnet)
        wider = subnet.replace("/28", "/27") if subnet.split("/")[0].split(".")[-1] in {"0", "32", "64"} else subnet
        for other in (subnet, wider):
            with pytest.raises(SubnetTakenError):
                await engine.create_network(new_name(), {}, is_internal=False, subnet=other)
        assert (await engine.inspect_network(name)).subnets == (subnet,)

    @pytest.mark.parametrize("subnet", ["x", "10.0.0.1/24", "10.0.0.0/33", "--all"])
    async def test_what_is_no_subnet_is_refused(self, engine: Engine, new_name: NewName, subnet: str) -> None:
        with pytest.raises(InvalidArgumentError, match="subnet"):
            await engine.create_network(new_name(), {}, is_internal=False, subnet=subnet)

    async def test_an_unknown_network_is_not_found(self, engine: Engine, new_name: NewName) -> None:
        with pytest.raises(EngineNotFoundError):
            await engine.inspect_network(new_name())

    async def test_a_network_without_running_containers_goes(self, engine: Engine, new_name: NewName) -> None:
        name = new_name()
        await engine.create_network(name, {}, is_internal=False)
        container = await self.joined(engine, new_name(), name)
        await engine.stop(container, 0)
        if self.frees_networks_of_stopped:
            await engine.remove_network(name)
        else:
            with pytest.raises(EngineConflictError):
                await engine.remove_network(name)
        await engine.remove(container)
        await engine.remove_network(name)
        with pytest.raises(EngineNotFoundError):
            await engine.inspect_network(name)

    async def test_containers_say_which_networks_they_have_joined(self, engine: Engine, new_name: NewName) -> None:
        name = new_name()
        await engine.create_network(name, {}, is_internal=False)
        for network, joined in ((name, (name,)), ("", ("",)), ("none", ())):
            container = await engine.create(
                ContainerSpec(name=new_name(), image=BUSYBOX, command=SLEEP, network=network)
            )
            assert (await engine.inspect(container)).networks == joined
            await engine.start(container)
            found = await engine.inspect(container)
            assert (found.network, found.networks) == (network, joined)


class NamesContract(Ground):
    """Names of containers in a network of their own; a Podman without a DNS plugin has none."""

    async def test_a_container_is_reached_by_its_alias_in_its_network_only(
        self, engine: Engine, new_name: NewName
    ) -> None:
        ours, theirs = new_name(), new_name()
        for network in (ours, theirs):
            await engine.create_network(network, {}, is_internal=True)
        spec = ContainerSpec(name=new_name(), image=BUSYBOX, command=SLEEP, network=ours, network_aliases=("web",))
        await engine.start(await engine.create(spec))
        for network, is_there in ((ours, True), (theirs, False)):
            asker = await engine.create(ContainerSpec(name=new_name(), image=BUSYBOX, command=SLEEP, network=network))
            await engine.start(asker)
            argv = ("sh", "-c", "ping -c 1 -W 2 web >/dev/null 2>&1 && echo there || echo not there")
            async with engine.open_exec(asker, ExecSpec(argv=argv)) as stream:
                said = b"".join([chunk async for chunk in stream])
            assert said == (b"there\n" if is_there else b"not there\n")


class TestFakeNetworks(OnFake, NetworksContract):
    """The contract on the fake."""


class TestDockerNetworks(OnDocker, NetworksContract, NamesContract):
    """The contract on a real engine."""


class TestPodmanNetworks(OnPodman, NetworksContract):
    """The contract on a real Podman."""
