"""What a tool answers, as the protocol has it."""

from __future__ import annotations

from mcp.types import CallToolResult, ResourceLink, TextContent

from ws_mcp.edge.views import View


def noted(result: CallToolResult, note: str) -> CallToolResult:
    """The same with a note of this server at its end; none if it is ""."""
    if note:
        result.content.append(TextContent(type="text", text=f"[ws-mcp: {note}]"))
    return result


def answered(view: View | CallToolResult, text: str = "", *links: ResourceLink) -> CallToolResult:
    """A view as both halves of a result, each complete alone: hosts show one of them. `text` in place of its JSON.

    `links`: where a person can look on.
    """
    if isinstance(view, CallToolResult):
        return view
    values, shown = view.shown()
    return CallToolResult(content=[TextContent(type="text", text=text or shown), *links], structured_content=values)
