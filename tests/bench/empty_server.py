"""The floor: a server of the SDK with one tool that does nothing. Started as a program of its own."""

from __future__ import annotations

from mcp.server import MCPServer


async def noop() -> str:
    """Do nothing."""
    return "ok"


if __name__ == "__main__":
    server = MCPServer("empty", log_level="ERROR")
    server.add_tool(noop)
    server.run()
