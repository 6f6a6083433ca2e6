"""The engine door's networks: containers of one network reach each other, and nobody else's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from ws_mcp.core.engine import answers
from ws_mcp.core.engine.calls import EngineCalls
from ws_mcp.core.engine.faults import INTERFACE_GONE, Call
from ws_mcp.core.engine.model import Network
from ws_mcp.core.engine.names import checked_name, checked_subnet
from ws_mcp.core.engine.record import Record, listed_of
from ws_mcp.core.engine.sdk import Sdk, carries, filters_of
from ws_mcp.core.errors import EngineError, EngineNotFoundError

TRIES = 5  # of a network, while other interfaces of the machine come and go


class EngineNetworks(EngineCalls):
    """See `port.Engine`."""

    async def create_network(
        self, name: str, labels: Mapping[str, str], *, is_internal: bool, subnet: str = ""
    ) -> None:
        checked_name("network", name)
        wanted = checked_subnet(subnet)
        pool = {"Driver": "default", "Config": [{"Subnet": wanted}]} if wanted else None

        def create(sdk: Sdk) -> object:
            # Without `check_duplicate` engines before 25 make a second network of the same name.
            return sdk.create_network(
                name, driver="bridge", check_duplicate=True, internal=is_internal, labels=dict(labels), ipam=pool
            )

        for left in reversed(range(TRIES)):
            try:
                await self._act(Call.CREATE_NETWORK, name, create)
            except EngineError as error:
                if not left or INTERFACE_GONE not in str(error):
                    raise
            else:
                return

    async def inspect_network(self, name: str) -> Network:
        checked_name("network", name)
        found = await self._look(Call.NETWORK, name, lambda sdk: sdk.inspect_network(name))
        answer = answers.network_of(Record(found))
        # As with containers: the engine takes the beginning of an id, too.
        if answer.name != name:
            raise EngineNotFoundError(f"could not {Call.NETWORK} {name!r}: no such network")
        return answer

    async def remove_network(self, name: str) -> None:
        checked_name("network", name)
        with suppress(EngineNotFoundError):
            await self._act(Call.REMOVE_NETWORK, name, lambda sdk: sdk.remove_network(name))

    async def list_networks(self, labels: Mapping[str, str]) -> tuple[Network, ...]:
        filters = filters_of(labels)
        found = await self._look(Call.LIST, "", lambda sdk: listed_of(sdk.networks(filters=filters)))
        networks = map(answers.network_of, found)
        return tuple(network for network in networks if carries(network.labels, labels))
