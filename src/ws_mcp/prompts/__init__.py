"""The prompts: words that a person picks from a menu of the host. Nothing is looked up or done for them."""

from __future__ import annotations

from mcp.server import MCPServer

from ws_mcp.prompts.wishes import clean_up_chat, rebuild_devcontainer, start_dev_server


def add_prompts(server: MCPServer) -> None:
    """Register every prompt."""
    server.prompt(title="Start and watch a development server")(start_dev_server)
    server.prompt(title="Make my dev container anew and tell me why")(rebuild_devcontainer)
    server.prompt(title="Clean up this chat")(clean_up_chat)
