"""Scenes in which the wall clock is set ten years forward or back; nothing may be forgotten, ended or kept for that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import anyio
from simulation.acts import SPEC
from simulation.scene import Scene
from simulation.scenes_chats import owner_of, ticket_of
from simulation.scenes_processes import KEYED
from simulation.world import MAIN

from ws_mcp.core.errors import ConflictError, WsError
from ws_mcp.core.processes.model import StartRequest
from ws_mcp.core.tickets import TicketState
from ws_mcp.core.workspaces import idle
from ws_mcp.core.workspaces.model import Ask

YEARS = timedelta(days=3652)
JUMPS = (YEARS, -YEARS)
IDLE_S = 60


async def a_key_is_used_again_after_jumps(at: Scene) -> None:
    await at.made("s1", SPEC, Ask(request_key="k"))
    await at.started("s1", KEYED)
    await anyio.sleep(10)
    at.forget_ended()
    for jump in JUMPS:
        at.world.jump = jump
        # Whoever claims a key forgets old ones; a server that starts now knows no other time.
        at.world.servers["s2"].stop()
        await at.world.start_server("s2")
        for server in at.world.servers:
            await at.started(server, replace(KEYED, request_key=f"{server} {jump}"))
            at.refused(await at.start(server, KEYED), ConflictError, "a key was forgotten before its time")
            await at.provision(server, SPEC, Ask(request_key=f"{server} {jump}"))
            answer = await at.provision(server, replace(SPEC, environment={"A": "1"}), Ask(request_key="k"))
            at.refused(answer, ConflictError, "a key of a provision was forgotten before its time")


async def a_ticket_is_asked_for_after_jumps(at: Scene) -> None:
    ticket = await ticket_of(at)
    await anyio.sleep(60)
    for jump in JUMPS:
        at.world.jump = jump
        at.world.servers["s2"].stop()
        await at.world.start_server("s2")
        for server in at.world.servers:
            found = await at.world.core(server).tickets.look(owner_of(at), ticket.id)
            is_kept = found is not None and found.state is TicketState.COMPLETED
            at.check(is_kept, f"a ticket was forgotten before its time: {found}")


async def a_chat_is_used_again_after_jumps(at: Scene) -> None:
    for jump in JUMPS:
        at.world.jump = jump
        at.world.servers["s2"].stop()
        await at.world.start_server("s2")
        for server in at.world.servers:
            # Whoever makes a chat forgets those that nobody uses any more.
            await at.world.make_chat(server, "alice", f"{server} {jump}")
            answer = await at.ask(server, "find", lambda core: core.chat(at.chat.scope.principal, at.chat.handle))
            at.check(not isinstance(answer, WsError), f"a chat was forgotten before its time: {answer}")


async def a_workspace_is_idle_while_the_clock_jumps(at: Scene) -> None:
    """Neither early nor late, though its execd says of its own clock when something last ended."""
    core = at.world.core("s1")
    core.own_acts.begin(core.own_acts._written)  # pyright: ignore[reportPrivateUsage]
    for jump in (timedelta(), *JUMPS):
        at.world.jump = timedelta()
        await at.made(spec=replace(SPEC, idle_stop_s=IDLE_S))
        await at.ask("s1", "workspaces", lambda core: core.workspaces(at.chat.scope))
        await at.started("s1", StartRequest(command="sleep 20"))
        await anyio.sleep(25)
        at.world.jump = jump
        await anyio.sleep(IDLE_S - 10)
        is_up = at.world.engine.containers[at.container()].is_running
        at.check(is_up, f"{MAIN} was stopped early, when the clock jumped by {jump}")
        # It is looked at from time to time, and once more closely when it is due.
        await anyio.sleep(10 + IDLE_S + 3 * idle.LOOK_S)
        is_up = at.world.engine.containers[at.container()].is_running
        at.check(not is_up, f"{MAIN} was not stopped, when the clock jumped by {jump}")
