"""A server at a unix socket whose streams may be cut at any moment.

Not anyio's listener: on asyncio its unix streams set a result a second time when they are closed, or their reader is
cancelled, in the moment in which bytes come (4.16), and a test in whose loop that happens fails.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from ws_mcp.core.engine.sockets import SocketStream


@asynccontextmanager
async def open_unix_server(
    path: Path, serve: Callable[[SocketStream], Coroutine[object, object, None]]
) -> AsyncGenerator[None]:
    """Call `serve` with each connection to the socket `path`, until the block is left."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.setblocking(False)
        listening.bind(str(path))
        listening.listen(socket.SOMAXCONN)
        async with anyio.create_task_group() as tasks:

            async def accept() -> None:
                while True:
                    await anyio.wait_readable(listening)
                    try:
                        accepted, _ = listening.accept()
                    except BlockingIOError:
                        continue
                    tasks.start_soon(serve, SocketStream(accepted))

            tasks.start_soon(accept)
            yield
            tasks.cancel_scope.cancel()
