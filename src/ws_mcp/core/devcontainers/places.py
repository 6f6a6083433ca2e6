"""Dev containers as places where processes of any chat run."""

from __future__ import annotations

from collections.abc import Callable

from ws_mcp.core.devcontainers.model import DevContainer, Status
from ws_mcp.core.devcontainers.service import DevContainers
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.processes.port import PlaceRef

PAUSED = "it is paused; recreate_devcontainer or `docker unpause` lets it go on"


class DevPlaces:
    """The places of dev containers; their execds keep the chats apart. `has`: whether there is a connection now."""

    def __init__(self, devcontainers: DevContainers, has: Callable[[PlaceAddress], bool]) -> None:
        self._devcontainers = devcontainers
        self._has = has

    async def there(self) -> tuple[PlaceRef, ...]:
        """Those with an execd in them, as last looked at. A server that has just begun looks first."""
        await self._devcontainers.ready()
        return self._seen()

    async def place_of(self, name: str) -> PlaceRef:
        """The place of a dev container that runs; its execd is there when this returns.

        Raises:
            NotFoundError, PlaceUnavailableError, ConflictError
        """
        known = next((ref for ref in self._seen() if ref.workspace == name), None)
        if known is not None and known.is_running and self._has(known.address):
            return known
        found, address = await self._devcontainers.resolve(name)
        return _ref(found, address)

    def _seen(self) -> tuple[PlaceRef, ...]:
        return tuple(_ref(found, address) for found, address in self._devcontainers.reached())


def _ref(found: DevContainer, address: PlaceAddress) -> PlaceRef:
    # While something is done to it, its container runs until it is seen to be gone: then there is no address.
    is_paused = found.status is Status.PAUSED
    return PlaceRef(
        workspace=WorkspaceName(found.name),
        address=address,
        is_running=not is_paused,
        obstacle=PAUSED if is_paused else "",
    )
