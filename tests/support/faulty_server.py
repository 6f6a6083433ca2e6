"""`ws-mcp` with a fault put in: at USR1 a task of its own breaks, as by a bug. Takes the arguments of `ws-mcp`."""

from __future__ import annotations

import signal

import anyio

from ws_mcp import server
from ws_mcp.cli import main
from ws_mcp.edge.attention import Attention


class Faulty(Attention):
    """Looks at nothing, and breaks when it is told to."""

    async def run(self) -> None:
        with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
            async for _ in signals:
                raise RuntimeError("a fault that was put in")


if __name__ == "__main__":
    server.Attention = Faulty
    main()
