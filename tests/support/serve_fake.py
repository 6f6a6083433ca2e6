"""A server as a program, over a core in memory: what the tests of serving start. `serve_fake.py stdio|http`.

Over HTTP it reads `tokens=FILE`, or listens at `unix=PATH`, also as `allowed=NAME`. It says on stderr where it listens,
and `core closed` when what stands around the serving was left.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.fake_core import FakeCore, FakeProcess
from ws_mcp.edge.bearer import Bearers, token_principal, token_stands
from ws_mcp.edge.http_choices import HttpChoices
from ws_mcp.edge.http_serving import authentication, serve_http
from ws_mcp.edge.identity import stdio_hint
from ws_mcp.edge.serve import Stop, end, open_stop, serve_stdio
from ws_mcp.edge.token_file import TokenFile
from ws_mcp.server import build_server

SLOW_S = 3600.0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def script(process: FakeProcess) -> None:
    """`print` prints to stdout, which is the protocol's; `hang` goes on; all else ends with its name as output."""
    if process.request.command == "print":
        print("a stray line", flush=True)
    process.write(f"{process.request.command}\n".encode())
    if process.request.command != "hang":
        process.end()


@asynccontextmanager
async def open_core(slow: bool) -> AsyncGenerator[FakeCore]:
    try:
        yield FakeCore(script=script)
    finally:
        if "stuck" in sys.argv:
            time.sleep(SLOW_S)  # noqa: ASYNC251 - it holds up the event loop, as only a bug would
        with anyio.CancelScope(shield=True):
            await anyio.sleep(SLOW_S if slow else 0.05)
        say("core closed")


async def http(core: FakeCore, stop: Stop, given: dict[str, str]) -> int:
    allowed = tuple(filter(None, given.get("allowed", "").split(",")))
    choices = HttpChoices(port=0, unix=given.get("unix", ""), allowed_hosts=allowed)
    if choices.unix:
        return await serve_http(build_server(core, default_hint=None), stop, choices, None, say)
    server = build_server(core, default_hint=None, principal_of=token_principal, standing=token_stands)
    return await serve_http(
        server, stop, choices, authentication(choices, Bearers(TokenFile(Path(given["tokens"])))), say
    )


async def main(transport: str, given: dict[str, str], slow: bool) -> None:
    async with open_stop() as stop:
        async with open_core(slow) as core:
            if transport == "stdio":
                server = build_server(core, default_hint=stdio_hint({}, "/src/app"))
                code = await serve_stdio(server, stop)
            else:
                code = await http(core, stop, given)
            say("serving ended")
        end(code)


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level="WARNING")
    words = dict(word.split("=", 1) for word in sys.argv if "=" in word)
    anyio.run(main, sys.argv[1], words, "slow" in sys.argv, backend="trio" if "trio" in sys.argv else "asyncio")
