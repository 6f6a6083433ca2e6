"""Middleware that lists to each principal only the tools that they may call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from mcp.server.context import CallNext, HandlerResult

from ws_mcp.edge.gate import Gate
from ws_mcp.edge.identity import Request


class Offered:
    """Leaves out of `tools/list` what the gate would refuse; the gate refuses it all the same."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(self, ctx: Request, call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        if ctx.method == "tools/list" and isinstance(result, dict):
            result["tools"] = [tool for tool in result.get("tools", []) if self._is_offered(tool)]
        return result

    def _is_offered(self, tool: Mapping[str, Any]) -> bool:
        hints = cast("Mapping[str, object]", tool.get("annotations") or {})
        return self._gate.offers(str(tool["name"]), is_read_only=hints.get("readOnlyHint") is True)
