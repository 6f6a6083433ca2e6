"""The one place that speaks MCP: who asks, what answers and errors look like, how serving begins and ends."""
