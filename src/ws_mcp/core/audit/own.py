"""What a server does by itself, written down like what callers do."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ws_mcp.core.errors import WsError
from ws_mcp.core.ids import Principal
from ws_mcp.core.own_acts import OwnAct
from ws_mcp.core.policy.acts import Act, Journal, Verdict


@asynccontextmanager
async def written_down(journal: Journal, own: OwnAct) -> AsyncGenerator[None]:
    """See `own_acts.Written`."""
    act = Act(
        principal=Principal(id=own.owner.principal),
        chat=own.owner.chat,
        verb=own.verb,
        is_read_only=False,
        arguments={"workspace": own.workspace},
        is_own=True,
    )
    intent = await journal.intend(act, Verdict(is_allowed=True, rule=own.rule))
    outcome, detail = "cut short", ""
    try:
        yield
        outcome = "ok"
    except BaseException as error:
        outcome, detail = "failed" if isinstance(error, WsError) else outcome, type(error).__name__
        raise
    finally:
        journal.conclude(intent, outcome, detail)
