"""Dev containers where the operator allows none."""

from __future__ import annotations

from typing import NoReturn

from ws_mcp.core.devcontainers.model import DevContainerListing, RecreateAsk, Target
from ws_mcp.core.errors import EngineUnavailableError, ForbiddenError, NotFoundError, WsError
from ws_mcp.core.host.model import ROOT_FLAG
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.job import Report
from ws_mcp.core.jobs import WAIT_S
from ws_mcp.core.processes.port import PlaceRef


class NoDevContainers:
    """There are none, and every act is refused with what would allow it."""

    def __init__(self, *, has_engine: bool) -> None:
        self._has_engine = has_engine

    async def list(self, *, is_fresh: bool = False) -> DevContainerListing:  # noqa: ARG002
        """An empty list."""
        return DevContainerListing(devcontainers=())

    async def recreate(
        self,
        target: Target,  # noqa: ARG002 - all of these are as the ones that exist take them
        ask: RecreateAsk,  # noqa: ARG002
        report: Report,  # noqa: ARG002
        wait_s: float = WAIT_S,  # noqa: ARG002
    ) -> NoReturn:
        """Refused."""
        raise self._refusal()

    async def stop(self, name: str, report: Report, wait_s: float = WAIT_S) -> NoReturn:  # noqa: ARG002
        """Refused."""
        raise self._refusal()

    restart = remove = stop

    async def log(self, name: str) -> NoReturn:  # noqa: ARG002
        """Refused."""
        raise self._refusal()

    async def there(self) -> tuple[PlaceRef, ...]:
        """None."""
        return ()

    async def place_of(self, name: str) -> NoReturn:
        """There is none of any name."""
        raise NotFoundError("dev container", name, (), "recreate_devcontainer makes them.", is_shared=True)

    resolve = place_of

    def lost(self, place: PlaceId) -> None:
        """Not one of ours."""

    def _refusal(self) -> WsError:
        if not self._has_engine:
            return EngineUnavailableError(
                "this server was started without a container engine, so it has no dev containers"
            )
        return ForbiddenError(
            f"dev containers are off: the operator names the directories that may have some with {ROOT_FLAG} DIR"
        )
