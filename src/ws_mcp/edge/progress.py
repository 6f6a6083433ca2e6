"""Progress of a long call, for clients that asked for it."""

from __future__ import annotations

from ws_mcp.edge.core_port import Report
from ws_mcp.edge.identity import request

STEP = 0.001  # by which a new phase is further than the last one, where nothing is known of how far


def reporter() -> Report:
    """Reports to the caller of the request that is being answered; silent where it gave no token.

    Source: MCP 2025-11-25, basic/utilities/progress: the value must increase with each notification.
    """
    session = request().session
    reached, said = -1.0, ""

    async def report(phase: str, fraction: float) -> None:
        nonlocal reached, said
        if phase != said:
            fraction = max(fraction, min(reached + STEP, 1.0))
        if fraction > reached:
            reached, said = fraction, phase
            await session.report_progress(fraction, 1.0, phase)

    return report
