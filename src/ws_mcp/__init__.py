"""ws-mcp: durable workspaces and background processes for AI assistants, over MCP."""

__version__ = "0.1.0"
