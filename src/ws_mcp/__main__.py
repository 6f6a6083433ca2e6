"""`python -m ws_mcp` is the same as the console script `ws-mcp`."""

from ws_mcp.cli import main

if __name__ == "__main__":
    main()
