"""`ws-mcp replace`: gives up what a workspace has on a node that is lost, so that it can be made on another one."""

from __future__ import annotations

from ws_mcp.console import Style, console
from ws_mcp.core.clock import utc_now
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.placement.giving_up import give_up
from ws_mcp.doors import choices_of, open_core_of, open_doors
from ws_mcp.ps_processes import CHAT_CHARACTERS
from ws_mcp.settings import Settings


async def replace(settings: Settings, which: str, *, is_forced: bool) -> int:
    """Do it; what was on the node is not touched, and its container is removed when the node is back.

    Raises:
        InvalidArgumentError, ConflictError, LimitError, EngineError: nothing was done.
    """
    shown = console()
    async with open_doors(settings) as doors, open_core_of(choices_of(settings), doors) as core:
        if core.placement is None:
            raise InvalidArgumentError("only what is on the nodes of a swarm can be given up there: --placement swarm")
        async with shown.progress("asking the managers"):
            done = await give_up(core.placement, core.state, which, utc_now, is_forced=is_forced)
    whose = f"Workspace {done.name!r} of chat {done.chat[:CHAT_CHARACTERS]}"
    shown.line(f"{whose} has nothing on node {done.before} any more.", Style.BOLD)
    shown.line(f"provision_workspace makes it anew, without its data, on node {done.after}.")
    return 0
