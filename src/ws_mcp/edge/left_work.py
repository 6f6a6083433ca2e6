"""What is written down of work that went on when its call had ended: how it ended, and what it made."""

from __future__ import annotations

import logging
from dataclasses import replace

from ws_mcp.core.devcontainers.model import Acted, Recreated
from ws_mcp.core.errors import StateError, WsError
from ws_mcp.core.policy.acts import Act, Journal, Verdict
from ws_mcp.core.workspaces.model import Provisioned

log = logging.getLogger(__name__)

LEFT = "left"  # the outcome of the call
RULE = "its call left"  # by which the server writes the end


async def write_end(journal: Journal | None, act: Act, result: object, failure: Exception | None) -> None:
    """See `leaving.Ended`: a line of the server's own, with the arguments of the call."""
    if journal is None:
        return
    try:
        intent = await journal.intend(replace(act, is_own=True), Verdict(is_allowed=True, rule=RULE))
    except StateError as error:  # it is done already
        log.warning("the end of a %s is not in the audit: %s", act.verb, error)
        return
    if failure is None:
        journal.conclude(intent, "ok", made=_made(result))
    else:
        journal.conclude(intent, "failed" if isinstance(failure, WsError) else "cut short", type(failure).__name__)


def _made(result: object) -> dict[str, str]:
    """By the names that answers have for them."""
    found = old = None
    if isinstance(result, Provisioned):
        found = result.workspace and result.workspace.container
    elif isinstance(result, Recreated | Acted):
        found = result.devcontainer and result.devcontainer.container
        old = result.old_container if isinstance(result, Recreated) else None
    return {name: value for name, value in (("container", found), ("old_container", old)) if value}
