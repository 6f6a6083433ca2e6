"""What the owner of container workspaces asks of what is inside them: how many processes run, and to make it ready."""

from __future__ import annotations

from typing import Protocol

from ws_mcp.core.host.model import HostFolder
from ws_mcp.core.workspaces.model import Workspace


class Inside(Protocol):
    """The execd of a workspace, as far as its container's owner needs it."""

    async def running(self, workspace: Workspace) -> int | None:
        """How many processes run in it; None when it does not answer."""
        ...

    async def prepare(self, workspace: Workspace, *, folder: HostFolder | None, is_fresh: bool) -> None:
        """Make sure that it answers, and that what waits for its secrets has them.

        `is_fresh`: it was just started; `folder`: what /workspace has to be.

        Raises:
            PlaceUnavailableError: it does not answer.
            ForbiddenError: the folder in it is not the one that was checked.
        """
        ...
