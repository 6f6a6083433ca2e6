module ws-mcp/execd

go 1.27
