"""The way to an execd: through the engine's exec stream into a container, or straight to a socket of this machine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from anyio.abc import ByteStream

from ws_mcp.core.engine.model import ContainerState, ExecSpec
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.engine.sockets import connect_unix
from ws_mcp.core.errors import EngineConflictError, EngineError, EngineNotFoundError, PlaceUnavailableError
from ws_mcp.core.execd.places import Dial, PlaceAddress
from ws_mcp.core.ids import ContainerId

_STATES = {
    ContainerState.PAUSED: "its container is paused; unpause it (docker unpause), then try again",
    ContainerState.RESTARTING: "its container restarts; try again in a moment",
    ContainerState.RUNNING: "its container was not ready; try again in a moment",
}


EngineOf = Callable[[PlaceAddress], Engine | None]
"""The engine that has a container; None: this server was started without one."""

UNSEEN = "the node that it is on was not looked at since this server began; try again in a moment"


def dial_through(engine: Engine | None) -> Dial:
    """Dial containers through `engine` and local places by their socket."""
    return dial_by(lambda _: engine)


def dial_by(engine_of: EngineOf) -> Dial:
    """Dial containers through whichever engine has them, and local places by their socket."""

    @asynccontextmanager
    async def dial(address: PlaceAddress) -> AsyncGenerator[ByteStream]:
        if address.container is None:
            async with await _connect(address) as stream:
                yield stream
            return
        if not address.container:
            raise PlaceUnavailableError(UNSEEN)
        engine = engine_of(address)
        if engine is None:
            raise PlaceUnavailableError("it is a container, and this server was started without an engine")
        argv = (address.binary, "attach", "--dir", address.directory)
        try:
            opened = engine.open_exec(address.container, ExecSpec(argv=argv, user=address.user))
            stream = await opened.__aenter__()
        except EngineNotFoundError as error:
            raise PlaceUnavailableError("its container is gone; call provision_workspace to make it again") from error
        except EngineConflictError as error:
            raise PlaceUnavailableError(await _why_not(engine, address.container)) from error
        try:
            yield stream
        finally:
            await opened.__aexit__(None, None, None)

    return dial


async def _why_not(engine: Engine, container: ContainerId) -> str:
    """Why nothing can be run in a container."""
    try:
        state = (await engine.inspect(container)).state
    except EngineError as error:
        return f"its container cannot be looked at ({error})"
    return _STATES.get(state, "its container is stopped; call provision_workspace to start it")


async def _connect(address: PlaceAddress) -> ByteStream:
    try:
        return await connect_unix(f"{address.directory}/sock")
    except OSError as error:
        raise PlaceUnavailableError("it is not running; call provision_workspace to start it") from error
