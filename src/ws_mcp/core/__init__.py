"""What ws-mcp does, without MCP: places, processes, workspaces. Never imports `mcp`."""
