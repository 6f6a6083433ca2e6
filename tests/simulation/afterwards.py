"""P15 in virtual time: however much was done, there is as much as at first, and without chats nothing at all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import anyio
import trio
from simulation.seeding import SERVER
from simulation.server import Server
from simulation.stores import database_of
from simulation.world import Chat, World

from ws_mcp.core.closing import Closing
from ws_mcp.core.errors import WsError
from ws_mcp.core.runtime import Core
from ws_mcp.core.workspaces import naming

RESTED_S = 600.0  # in it everything that is done from time to time was done
# What is kept of workspaces and of what goes on; keys and the chats of a project are kept for a while.
OF_WORKSPACES = ("intents", "secrets", "idle_stops", "disk_holds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a server has open."""

    tasks: int
    watchers: int
    streams: int


async def check_as_at_first(world: World) -> None:
    """A server that saw it all holds no more than one that was just started."""
    name = list(world.servers)[-1]
    used = world.servers[name]
    await _looked(world, used)
    held = _held(world, used)
    used.stop()
    fresh = await world.start_server(name)
    await _looked(world, fresh)
    await anyio.sleep(RESTED_S)
    world.check(_held(world, fresh) == held, f"a server that just started holds {_held(world, fresh)}; before: {held}")


async def check_nothing_is_left(world: World) -> None:
    """When all chats were closed with their data."""
    server = next(iter(world.servers.values()))
    core = world.core(server.name)
    SERVER.set(server)
    for chat in world.chats:
        closed = await core.close(chat.scope, Closing.DELETE)
        world.check(closed.is_forgotten, f"nothing is wrong, and {chat.name} was not closed: {closed.failures}")
    SERVER.set(None)
    await anyio.sleep(RESTED_S)
    ours = [each.spec.name for each in world.engine.containers.values()]
    ours += [each.name for each in world.engine.networks.values() if each.labels.get(naming.SIGNATURE)]
    ours += [name for name, each in world.engine.volumes.items() if each.volume.labels.get(naming.SIGNATURE)]
    left = sorted(name for name in ours if not name.startswith("look-alike"))
    world.check(not left, f"of chats that were closed there is left: {left}")
    database = database_of(core.state)
    for table in OF_WORKSPACES:
        rows = database.execute(f"SELECT * FROM {table}").fetchall()
        world.check(not rows, f"of chats that were closed {table} has still {len(rows)} rows")


def _held(world: World, server: Server) -> Held:
    streams = sum(len(each.streams) for each in world.engine.containers.values())
    return Held(tasks=_below(server.task), watchers=world.engine.watchers, streams=streams)


def _below(task: trio.lowlevel.Task | None) -> int:
    if task is None:
        return 0
    children = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return len(children) + sum(map(_below, children))


async def _looked(world: World, server: Server) -> None:
    """Somebody asked for everything: then there is a connection to each place."""
    for chat in world.chats:
        for ask in (_workspaces, _processes):
            answer = await server.call(0, partial(ask, chat))
            world.check(not isinstance(answer, WsError), f"nothing is wrong, and {chat.name} is not shown: {answer}")


async def _workspaces(chat: Chat, core: Core) -> object:
    return await core.workspaces(chat.scope)


async def _processes(chat: Chat, core: Core) -> object:
    return await core.processes(chat.scope).list(None, 1000)
