"""What of a workspace is on a node's engine: containers under its names, and its data."""

from __future__ import annotations

from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineNotFoundError
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.recipe import Recipe, recorded_of


async def anything_of(engine: Engine, place: PlaceId) -> bool:
    """Whether there is anything.

    Raises:
        EngineError: nobody can tell.
    """
    return await has_container(engine, place) or await has_data(engine, place)


async def has_container(engine: Engine, place: PlaceId) -> bool:
    """Whether it has a container, or one that is to take the place of another.

    Raises:
        EngineError: nobody can tell.
    """
    for name in (place, naming.incoming_name(place), naming.outgoing_name(place)):
        try:
            await engine.inspect(name)
        except EngineNotFoundError:
            continue
        return True
    return False


async def has_data(engine: Engine, place: PlaceId) -> bool:
    """Whether it has a volume.

    Raises:
        EngineError: nobody can tell.
    """
    try:
        await engine.inspect_volume(naming.volume_name(place))
    except EngineNotFoundError:
        return False
    return True


async def recorded_at(engine: Engine, place: PlaceId) -> Recipe | None:
    """How the container of a workspace was made, if it has one."""
    try:
        return recorded_of(await engine.inspect(place))
    except EngineNotFoundError:
        return None
