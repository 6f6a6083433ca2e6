"""After the storm: nothing fails any more, no event comes, and everything must be told and cleared as it is."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
from simulation.book import Book
from simulation.engine import Events
from simulation.faults import Calm
from simulation.seeding import SERVER
from simulation.stores import database_of
from simulation.world import CONVERGED_S, MAIN, OTHER, PRECIOUS, Chat, World

from ws_mcp.core.engine.fill import EMPTY_IMAGE
from ws_mcp.core.engine.model import ContainerState
from ws_mcp.core.ids import PlaceId
from ws_mcp.core.runtime import Core
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import WorkspaceState

RESTARTED_S = 10.0
SWEPT_S = 1300.0  # a repair in a minute; a sweep each five, of what one server has seen to be nobody's for ten

STATES = {
    ContainerState.RUNNING: WorkspaceState.RUNNING,
    ContainerState.PAUSED: WorkspaceState.PAUSED,
    ContainerState.RESTARTING: WorkspaceState.UNKNOWN,
}


async def settle(world: World, book: Book) -> None:
    """Let it come to rest, and check everything."""
    world.say("settling")
    world.injector = Calm()
    world.engine.call_s = 0.0
    world.engine.come_back()
    for container in world.engine.containers.values():
        if container.state is ContainerState.PAUSED:
            await world.engine.unpause(container.id)
    for name, server in list(world.servers.items()):
        if server.core is None:
            await world.start_server(name)
        database_of(world.core(name).state).execute("PRAGMA query_only = OFF")
        await world.core(name).workspaces(world.chats[0].scope)
    await _check_convergence(world)
    await _check_restart(world, book)
    await anyio.sleep(SWEPT_S)
    await _check_clean(world)
    world.check(not world.faulty, f"bugs in the log: {world.faulty}")


async def _check_convergence(world: World) -> None:
    """With all events dropped the servers see what is, without being asked."""
    world.engine.events = Events.DROPPED
    await anyio.sleep(1)
    running = [each.id for each in world.engine.containers.values() if each.is_running]
    if len(running) > 1:
        await world.engine.die(running[-1], 1)
    # A repair may change more meanwhile, each minute.
    for _ in range(3):
        await anyio.sleep_until(world.engine.untold_at + CONVERGED_S)
    for name in world.servers:
        sight = world.core(name).last_sight
        world.check(sight is not None and not sight.unknown, f"{name} does not know: {sight}")
        for chat in world.chats:
            seen = {each.name: each.state for each in sight.of(chat.scope)} if sight else {}
            world.check(seen == _truth(world, chat), f"{name} sees {seen} for {chat.name}: {_truth(world, chat)}")


async def _check_restart(world: World, book: Book) -> None:
    """A server that died is replaced by one that sees what is, and every process."""
    first = next(iter(world.servers))
    world.servers[first].kill()
    began = anyio.current_time()
    server = await world.start_server(first)
    core = world.core(first)
    SERVER.set(server)
    for chat in world.chats:
        seen = await _seen(core, chat)
        for _ in range(int(RESTARTED_S)):  # what the server that died had begun is made whole meanwhile
            if seen == _truth(world, chat):
                break
            await anyio.sleep(1)
            seen = await _seen(core, chat)
        truth = _truth(world, chat)
        world.check(seen == truth, f"after a restart {seen} is seen for {chat.name}: {truth}")
        processes = await core.processes(chat.scope).list(None, 1000)
        book.see_list(chat, processes)
        world.check(not processes.unavailable, f"after a restart these do not answer: {processes.unavailable}")
    SERVER.set(None)
    took = anyio.current_time() - began
    world.check(took <= RESTARTED_S, f"after a restart it took {took:.1f} s to see what is")


async def _seen(core: Core, chat: Chat) -> dict[str, WorkspaceState]:
    return {each.name: each.state for each in (await core.workspaces(chat.scope)).workspaces}


def _truth(world: World, chat: Chat) -> dict[str, WorkspaceState]:
    found = {}
    for container in world.engine.containers.values():
        labels = container.spec.labels
        if labels.get(naming.CHAT) == chat.scope.chat and labels.get(naming.KIND) == "container":
            name = naming.workspace_name(labels[naming.WORKSPACE])
            if container.spec.name == world.place(chat, name):  # else a look-alike
                found[name] = STATES.get(container.state, WorkspaceState.STOPPED)
    return found


async def _check_clean(world: World) -> None:
    """Nothing of ours is there that no listing knows."""
    core = world.core(next(iter(world.servers)))
    there = {workspace.place for _, workspace in await core.all_workspaces()}
    names = {each.spec.name for each in world.engine.containers.values()} - {"look-alike"}
    world.check(names <= there, f"containers that no list shows: {sorted(names - there)}")
    _check_wanted(world)
    for text in _left_over(world):
        world.violate(text)
    rows = await core.state.run(lambda db: db.execute("SELECT place, kind FROM intents").fetchall())
    world.check(not rows, f"begun and never ended: {rows}")
    for server in world.servers.values():
        world.check(server.core is not None, f"{server.name} ended by itself")
    for name in await core.state.run(lambda _: [each.name for each in (core.state.directory / "locks").iterdir()]):
        if name.startswith("wsmcp-"):
            async with core.state.lock(name):
                pass


def _check_wanted(world: World) -> None:
    """What nobody took away is there, and its data."""
    for chat in world.chats:
        for name in (MAIN, OTHER):
            if (chat.name, name) in world.wanted:
                world.check(bool(world.container(chat, name)), f"{name} of {chat.name} is gone; nobody removed it")
            if (chat.name, name) in world.wanted_data:
                volume = world.engine.volumes.get(naming.volume_name(PlaceId(world.place(chat, name))))
                is_whole = volume is not None and PRECIOUS in volume.files.entries
                world.check(is_whole, f"the data of {name} of {chat.name} is gone; nobody removed it")


def _left_over(world: World) -> Iterator[str]:
    mounted, joined = set[str](), set[str]()
    for container in world.engine.containers.values():
        mounted |= container.volume_names()
        joined.add(container.spec.network)
        if container.spec.image.endswith(EMPTY_IMAGE) or container.spec.name.endswith(("-new", "-old", "-files")):
            yield f"left half-made: {container.spec.name}"
    for name, volume in world.engine.volumes.items():
        labels = volume.volume.labels
        if labels.get(naming.KIND) == "configs" and name not in mounted and not name.startswith("look-alike"):
            yield f"a volume without use: {name}"
    for name, network in world.engine.networks.items():
        if network.labels.get(naming.SIGNATURE) and name not in joined and name != "look-alike":
            yield f"a network without use: {name}"


def check_keeper(world: World, keeper: Chat, container: str, *, may_be_stopped: bool) -> None:
    """Whose workspace nobody touched has it still."""
    world.check(world.container(keeper, MAIN) == container, "the workspace of the keeper is another one")
    is_alive = world.engine.containers[container].is_alive  # pyright: ignore[reportArgumentType]
    world.check(is_alive or may_be_stopped, "the workspace of the keeper was stopped")
