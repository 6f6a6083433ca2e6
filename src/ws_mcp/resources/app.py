"""The page as an MCP App: hosts that show pages put it beside the answers of the tools that name it."""

from __future__ import annotations

from collections.abc import Sequence

from mcp.server.apps import Apps
from mcp.server.extension import Extension

from ws_mcp.edge.page import URI, page

DESCRIPTION = "Shows a chat to a person: processes with live output, signals and input; workspaces and dev containers."


def app_extensions() -> Sequence[Extension]:
    """The extension that says there is a page, and has it."""
    apps = Apps()
    apps.add_html_resource(URI, page(), name="chat", title="Chat", description=DESCRIPTION, prefers_border=True)
    return (apps,)
