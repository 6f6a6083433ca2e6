"""Scenes about processes: answers that are lost, keys that are used again, execds that say nothing."""

from __future__ import annotations

from dataclasses import replace

import anyio
from simulation.faults import Door, Fault
from simulation.scene import Scene
from simulation.world import MAIN

from ws_mcp.core.errors import ConflictError
from ws_mcp.core.processes.model import ReadRequest, StartRequest

KEYED = StartRequest(command="echo once", request_key="key")
LASTS = StartRequest(command="echo on; sleep 500000")


async def the_answer_to_input_is_lost(at: Scene) -> None:
    await at.made()
    started = await at.started("s1", StartRequest(command="cat", keeps_stdin=True))
    process, text = started.info.process, b"one line\n"
    at.book.written.append((process, text))
    at.fault(Door.EXECD, 1, Fault.LOSE, "write")
    await at.ask("s1", "write", lambda core: core.processes(at.chat.scope).write(process, text, close=False))
    await anyio.sleep(1)


async def an_execd_says_nothing(at: Scene) -> None:
    await at.made()
    started = await at.started("s1", LASTS)
    process = started.info.process
    at.fault(Door.EXECD, 1, Fault.HANG, "read")
    await at.ask("s1", "read", lambda core: core.processes(at.chat.scope).read(process, ReadRequest()))


async def a_key_is_used_again_when_its_process_is_forgotten(at: Scene) -> None:
    await at.made()
    await at.started("s1", KEYED)
    await anyio.sleep(10)
    at.forget_ended()
    at.refused(await at.start("s2", KEYED), ConflictError, "what ran and is forgotten was to run again")


async def a_key_is_used_again_when_its_workspace_restarted(at: Scene) -> None:
    """And nobody was told that it began."""
    await at.made()
    at.fault(Door.EXECD, 1, Fault.CRASH_AFTER, "start")
    await at.start("s1", KEYED)
    at.calm()
    await at.world.start_server("s1")
    await at.world.engine.die(at.container(), 137)
    await at.made("s2")
    at.refused(await at.start("s2", KEYED), ConflictError, "what may have run before a restart was to run again")


async def a_key_is_used_for_another_command(at: Scene) -> None:
    await at.made()
    await at.started("s1", KEYED)
    await at.start("s2", replace(KEYED, command="echo other"))


async def two_servers_start_under_one_key(at: Scene) -> None:
    await at.made()
    await at.made("s2")
    async with anyio.create_task_group() as both:
        both.start_soon(at.started, "s1", KEYED)
        both.start_soon(at.started, "s2", KEYED)


async def a_connection_breaks_at_a_look(at: Scene) -> None:
    await at.made()
    await at.started("s1", LASTS)
    at.fault(Door.EXECD, 1, Fault.LOSE, "list")
    await at.listed("s1")


async def events_of_a_start_behind_our_back_are_lost(at: Scene) -> None:
    await at.made()
    await at.started("s2", LASTS)
    await at.ask("s1", "stop", lambda core: core.stop(at.chat.scope, MAIN, restarts=False))
    for server in at.world.servers:
        await at.ask(server, "workspaces", lambda core: core.workspaces(at.chat.scope))
    at.world.engine.events = at.world.engine.events.DROPPED
    await anyio.sleep(1)
    await at.world.engine.start(at.container())
    await at.started("s2", LASTS)
    await at.listed("s2")


async def a_chat_starts_more_than_it_may(at: Scene) -> None:
    """In two workspaces, so that no execd alone can tell."""
    most = at.world.choices.limits.running
    await at.made()
    await at.ask("s1", "workspaces", lambda core: core.workspaces(at.chat.scope))
    for _ in range(most):
        await at.started("s1", LASTS)
    await at.start("s2", LASTS)
    running = sum(at.world.execds.is_alive(each) for each in at.world.execds.ran)
    at.check(running <= most, f"{running} processes run of a chat that may have {most}")
