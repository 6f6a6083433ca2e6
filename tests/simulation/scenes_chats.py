"""Scenes about who asks: chats, tickets of other principals, what is written down of answers, a policy read again."""

from __future__ import annotations

import anyio
from simulation.acts import SPEC
from simulation.scene import Scene
from simulation.stores import database_of

from ws_mcp.core.errors import PolicyError, WsError
from ws_mcp.core.ids import PrincipalId
from ws_mcp.core.job import holding
from ws_mcp.core.policy.in_force import PolicyInForce
from ws_mcp.core.policy.model import Grant, Policy
from ws_mcp.core.tickets import Answer, Ticket, TicketOwner, TicketState
from ws_mcp.core.workspaces.model import Ask
from ws_mcp.core.workspaces.rules import WorkspaceRules

SAID = "handle wsc_for_nobody_else"
TOOL = "provision_workspace"


async def two_chats_list_what_they_have(at: Scene) -> None:
    other = await at.another("alice", "other")
    await at.made()
    answer = await at.ask("s1", "workspaces", lambda core: core.workspaces(other.scope), other)
    at.check("main" not in f"{answer}", f"a chat saw the workspace of another: {answer}")


async def somebody_has_the_handle_of_another(at: Scene) -> None:
    answer = await at.ask("s1", "find-peek", lambda core: core.chat(PrincipalId("bob"), at.chat.handle))
    at.check(isinstance(answer, WsError), f"bob was let into a chat of alice: {answer}")


async def somebody_has_the_ticket_of_another(at: Scene) -> None:
    ticket = await ticket_of(at)
    bob = TicketOwner(principal=PrincipalId("bob"))
    for server in at.world.servers:
        found = await at.world.core(server).tickets.look(bob, ticket.id)
        at.check(found is None, f"bob was shown the ticket of alice: {found}")
    await anyio.sleep(60)
    at.check(await at.world.core("s1").tickets.look(bob, ticket.id) is None, "bob was shown the answer for alice")


async def the_state_is_read_by_who_has_no_ticket(at: Scene) -> None:
    await ticket_of(at)
    await anyio.sleep(60)
    rows = database_of(at.world.core("s1").state).execute("SELECT * FROM tickets").fetchall()
    at.check(bool(rows), "no ticket was written down")
    at.check(SAID not in repr(rows), "an answer can be read in the state without its ticket")


async def a_server_dies_whose_ticket_somebody_has(at: Scene) -> None:
    ticket = await ticket_of(at)
    at.world.servers["s1"].kill()
    await at.world.servers["s1"].over.wait()
    found = await at.world.core("s2").tickets.look(owner_of(at), ticket.id)
    is_over = found is not None and found.state is TicketState.FAILED
    at.check(is_over, f"a job whose server died was told as going on: {found}")


async def a_policy_is_read_again_and_bad(at: Scene) -> None:
    narrow = Policy(grants=(Grant(principal="alice", max_tier=1, images=("img:*",)),), max_tier=1)
    files = [narrow]

    def read() -> Policy:
        if files:
            return files.pop()
        raise PolicyError(["line 3: there is no such key"])

    force = PolicyInForce(read, WorkspaceRules(max_tier=4, default_image="img:1"), "stdio")
    await force.reload()
    tier = force.rules_of(PrincipalId("alice")).max_tier
    at.check(tier == 1, f"a bad policy gave alice tier {tier} in place of 1")
    is_told = force.policy.grant_of(PrincipalId("bob")) is None
    at.check(is_told, "a bad policy gave bob something in place of nothing")


async def ticket_of(at: Scene) -> Ticket:
    at.world.engine.call_s = 0.5
    core = at.world.core("s1")
    with holding(0.1) as call:
        await at.ask("s1", "provision main", lambda core: core.provision(at.chat.scope, SPEC, Ask(), _quiet))
    assert call.hold is not None

    def answered(_result: object, _failure: Exception | None) -> Answer:
        return Answer(state=TicketState.COMPLETED, text=SAID)

    return await core.tickets.take(owner_of(at), call.hold, TOOL, answered)


def owner_of(at: Scene) -> TicketOwner:
    return TicketOwner(principal=at.chat.scope.principal, chat=at.chat.scope.chat)


async def _quiet(_phase: str, _fraction: float) -> None: ...
