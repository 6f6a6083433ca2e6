"""What is inside container workspaces, asked of their execds."""

from __future__ import annotations

import logging

import anyio

from ws_mcp.core.engine.model import ExecSpec
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import ForbiddenError, NotFoundError, WsError
from ws_mcp.core.execd import delivery, files, ready
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.places import PlaceAddress, Places
from ws_mcp.core.host.model import HostFolder
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.model import WORKDIR, Workspace, WorkspaceState
from ws_mcp.core.workspaces.request import SECRETS

log = logging.getLogger(__name__)

SECRET_MODE, SHARED_MODE = 0o400, 0o1777
SHARE_S = 10.0
WAITING = "waiting"


class ExecdInside:
    """See `inside.Inside`."""

    def __init__(self, engine: Engine, places: Places, ledger: Ledger) -> None:
        self._engine = engine
        self._places = places
        self._ledger = ledger

    async def running(self, workspace: Workspace) -> int | None:
        if workspace.state is not WorkspaceState.RUNNING:
            return 0
        try:
            return (await (await self._client(workspace)).stats()).running
        except WsError as error:
            log.info("the execd of %s does not say what runs: %s", workspace.place, error)
            return None

    async def prepare(self, workspace: Workspace, *, folder: HostFolder | None, is_fresh: bool) -> None:
        if is_fresh:
            # A kept connection is to the execd of before: it need not have broken when that was ended by force.
            await self._places.drop(workspace.place)
        client = await self._client(workspace)
        if folder is not None:
            await self._check_folder(client, workspace, folder)
        # A container that was started behind our back waits, too.
        if is_fresh or _state_of_main(client) == WAITING:
            await self._put_secrets(client, workspace)
            await ready.release(client)

    async def _put_secrets(self, client: ExecdClient, workspace: Workspace) -> None:
        if not workspace.has_secrets:
            return
        secrets = await self._ledger.secrets(workspace.place)
        if secrets and (await files.stat(client, SECRETS, "")).mode & SHARED_MODE != SHARED_MODE:
            await self._share_secrets(address_of(workspace))
        for name, value in secrets.items():
            await files.write_file(client, SECRETS, name, value, mode=SECRET_MODE)

    async def _share_secrets(self, address: PlaceAddress) -> None:
        """Let the container's user write there: at a second start Docker's tmpfs has the mode of the mount point."""
        argv = (address.binary, "share", SECRETS)
        if address.container is not None:
            async with self._engine.open_exec(address.container, ExecSpec(argv=argv, user="0")) as stream:
                with anyio.move_on_after(SHARE_S):
                    async for _ in stream:
                        pass  # it prints nothing: its end is what is waited for

    async def _check_folder(self, client: ExecdClient, workspace: Workspace, folder: HostFolder) -> None:
        """That what the engine mounted is what was checked: it resolves the path again, and later than we did."""
        found = await files.stat(client, WORKDIR, "")
        if (found.device, found.inode) != (folder.device, folder.inode):
            raise ForbiddenError(
                f"the folder of workspace {workspace.name!r} was changed while it was mounted: it is not the directory "
                "that was checked. Nothing may run in it; look at who else writes there, then call again"
            )

    async def _client(self, workspace: Workspace) -> ExecdClient:
        return await self._places.client(address_of(workspace))


def _state_of_main(client: ExecdClient) -> object:
    return (client.hello.main or {}).get("state")


def address_of(workspace: Workspace) -> PlaceAddress:
    """How to reach the execd of a container workspace.

    Raises:
        NotFoundError: it has no container.
    """
    container = workspace.container
    if container is None and workspace.node:
        container = ContainerId("")  # it has one, on a node that was never looked at
    if container is None:
        raise NotFoundError("workspace", workspace.name, (), "Call provision_workspace to make one.")
    return delivery.address_in(container, workspace.place, delivery.binary_path(), node=workspace.node)
