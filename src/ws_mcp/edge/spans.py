"""A span of each request, as the SDK's own, but without a text of an error: those may repeat what a caller gave."""

from __future__ import annotations

from mcp import MCPError
from mcp.server._otel import OpenTelemetryMiddleware  # mcp>=2.3,<2.4
from mcp.server.context import CallNext, HandlerResult
from mcp.shared._otel import extract_trace_context, otel_span  # mcp>=2.3,<2.4
from mcp.types import CallToolResult
from opentelemetry.trace import SpanKind, StatusCode

from ws_mcp.edge.identity import Request


class Spans(OpenTelemetryMiddleware):
    """Stands where the SDK's stood, with its names."""

    def __init__(self, verbs: frozenset[str]) -> None:
        self._verbs = verbs

    async def __call__(self, ctx: Request, call_next: CallNext) -> HandlerResult:
        asked = (ctx.params or {}).get("name")
        tool = asked if isinstance(asked, str) and asked in self._verbs else ""  # a caller can write anything there
        attributes = {"mcp.method.name": ctx.method, "mcp.protocol.version": ctx.protocol_version}
        attributes |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool} if tool else {}
        with otel_span(
            name=f"{ctx.method} {tool}".strip(),
            kind=SpanKind.SERVER,
            attributes=attributes,
            context=extract_trace_context(ctx.meta),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                result = await call_next(ctx)
            except BaseException as error:
                name = str(error.error.code) if isinstance(error, MCPError) else type(error).__name__
                span.set_attribute("error.type", name)
                span.set_status(StatusCode.ERROR)
                raise
            if isinstance(result, CallToolResult) and result.is_error:
                span.set_attribute("error.type", "tool_error")
                span.set_status(StatusCode.ERROR)
            return result
