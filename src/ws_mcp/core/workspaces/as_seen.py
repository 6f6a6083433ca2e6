"""Whether a workspace still is as a list showed it; asked under its lock, before a server does something by itself."""

from __future__ import annotations

from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineNotFoundError
from ws_mcp.core.state import State
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.found import workspace_of
from ws_mcp.core.workspaces.ledger import Ledger
from ws_mcp.core.workspaces.model import Workspace


async def is_as_seen(engine: Engine, state: State, ledger: Ledger, workspace: Workspace) -> bool:
    """Whether this very container is there in the same state, and no server has anything begun with it.

    Raises:
        EngineError
    """
    if workspace.container is None or await ledger.intent(workspace.place) is not None:
        return False
    try:
        found = await engine.inspect(workspace.container)
    except EngineNotFoundError:
        return False
    is_ours = found.name == workspace.place and naming.is_ours(state.instance.key, found.name, found.labels)
    return is_ours and workspace_of(found).state is workspace.state
