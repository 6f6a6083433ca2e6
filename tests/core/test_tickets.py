"""Tickets: who has one may ask for its job, also when the server that gave it is gone; nobody else may."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from core.test_job_notes import NOON, Clock
from core.test_jobs import REQUEST, Work, quiet, settle

from ws_mcp.core.errors import StateError, WsError
from ws_mcp.core.ids import PrincipalId, TicketId, new_ticket_id
from ws_mcp.core.job import Hold, StillRunning, holding
from ws_mcp.core.jobs import Jobs, open_jobs
from ws_mcp.core.servers import open_servers
from ws_mcp.core.state import State, open_state
from ws_mcp.core.ticket_notes import MOST, StateTickets
from ws_mcp.core.tickets import KEEP_S, Answer, Ticket, TicketOwner, Tickets, TicketState

pytestmark = pytest.mark.usefixtures("real_io")

ALICE = TicketOwner(principal=PrincipalId("alice"), chat="one")
ANY_OF_ALICE = TicketOwner(principal=PrincipalId("alice"))
TOOL = "provision_workspace"


@dataclass(kw_only=True)
class Server:
    """One server of a state directory."""

    state: State
    jobs: Jobs
    tickets: Tickets

    async def hold(self, work: Work) -> Hold:
        with holding(0.1) as call:
            assert isinstance(await self.jobs.run(REQUEST, work, quiet), StillRunning)
        assert call.hold is not None
        return call.hold

    async def take(self, work: Work, owner: TicketOwner = ALICE) -> Ticket:
        return await self.tickets.take(owner, await self.hold(work), TOOL, answered)

    async def over(self, ticket: Ticket, owner: TicketOwner = ALICE) -> Ticket:
        """The ticket when its job has ended."""
        with anyio.fail_after(30):
            while True:
                seen = await self.tickets.look(owner, ticket.id)
                assert seen is not None
                if seen.state is not TicketState.WORKING:
                    return seen


def answered(result: object, failure: Exception | None) -> Answer:
    return Answer(state=TicketState.COMPLETED, text=f"{result} {failure}")


@asynccontextmanager
async def open_server(directory: Path, clock: Clock | None = None) -> AsyncGenerator[Server]:
    """Leaving the block ends it in the middle of what runs."""
    clock = clock or Clock()
    with anyio.fail_after(20):
        async with open_state(directory) as state, open_servers(state) as servers, open_jobs() as jobs:
            notes = StateTickets(state, servers, clock)
            yield Server(state=state, jobs=jobs, tickets=Tickets(notes, clock, new_ticket_id))


async def test_a_ticket_says_where_its_job_is_and_then_its_answer(tmp_path: Path) -> None:
    work = Work(phases=["pulling the image"])
    async with open_server(tmp_path / "s") as server:
        ticket = await server.take(work)
        assert (ticket.state, ticket.tool, ticket.began_at) == (TicketState.WORKING, TOOL, NOON)
        assert ticket.message.startswith("the provision of workspace 'main': pulling the image (")
        work.may_end.set()
        over = await server.over(ticket)
    assert (over.state, over.answer, over.began_at) == (TicketState.COMPLETED, "done None", NOON)


async def test_its_answer_is_there_after_a_restart(tmp_path: Path) -> None:
    work = Work()
    async with open_server(tmp_path / "s") as server:
        ticket = await server.take(work)
        work.may_end.set()
        over = await server.over(ticket)
    async with open_server(tmp_path / "s") as server:
        assert await server.tickets.look(ALICE, ticket.id) == over


async def test_what_is_kept_of_one_opens_to_nobody_without_its_id(tmp_path: Path) -> None:
    work = Work(answer="c_handle-of-a-chat")
    async with open_server(tmp_path / "s") as server:
        ticket = await server.take(work)
        work.may_end.set()
        assert (await server.over(ticket)).answer == "c_handle-of-a-chat None"
        kept = await server.state.run(lambda db: str(db.execute("SELECT * FROM tickets").fetchall()))
    assert "provision of workspace" in kept
    assert ticket.id not in kept
    assert "handle-of-a-chat" not in kept
    assert b"handle-of-a-chat".hex() not in kept.lower()


async def test_what_a_restart_interrupted_says_so_and_what_to_call(tmp_path: Path) -> None:
    async with open_server(tmp_path / "s") as server:
        ticket = await server.take(Work())
    async with open_server(tmp_path / "s") as server:
        seen = await server.tickets.look(ALICE, ticket.id)
        assert seen is not None
        assert (seen.state, seen.answer) == (TicketState.FAILED, "")
        assert seen.message == (
            "the provision of workspace 'main' was interrupted by a restart of the server: call provision_workspace "
            "again with the same arguments"
        )
        assert await server.tickets.give_up(ALICE, ticket.id)


async def test_a_ticket_of_a_server_that_lives_is_not_interrupted(tmp_path: Path) -> None:
    async with open_server(tmp_path / "s") as server, open_server(tmp_path / "s") as other:
        ticket = await server.take(Work())
        seen = await other.tickets.look(ALICE, ticket.id)
        assert seen is not None
        assert (seen.state, "another server" in seen.message) == (TicketState.WORKING, True)


@pytest.mark.parametrize("is_over", [False, True])
async def test_who_is_not_its_owner_has_no_such_ticket(tmp_path: Path, *, is_over: bool) -> None:
    work = Work()
    async with open_server(tmp_path / "s") as server:
        ticket = await server.take(work)
        if is_over:
            work.may_end.set()
            await server.over(ticket)
        for other in (TicketOwner(principal=PrincipalId("bob")), TicketOwner(principal=ALICE.principal, chat="two")):
            assert await server.tickets.look(other, ticket.id) is None
            assert not await server.tickets.give_up(other, ticket.id)
        assert await server.tickets.look(ALICE, TicketId("t_unknown")) is None
        assert await server.tickets.look(ANY_OF_ALICE, ticket.id) is not None
    assert work.undone == (not is_over)  # by the end of the server, if at all


async def test_each_owner_has_a_ticket_of_its_own_and_equal_calls_of_one_the_same(tmp_path: Path) -> None:
    work, bob = Work(), TicketOwner(principal=PrincipalId("bob"))
    async with open_server(tmp_path / "s") as server:
        first, again, other = [await server.take(work, owner) for owner in (ALICE, ALICE, bob)]
        assert first.id == again.id != other.id
        assert await server.tickets.give_up(bob, other.id)
        seen = await server.tickets.look(bob, other.id)
        assert seen is not None
        assert (seen.state, "it goes on, since others wait for it" in seen.message) == (TicketState.CANCELLED, True)
        assert work.undone == 0
        assert await server.tickets.give_up(ALICE, first.id)
        over = await server.over(first)
        assert (over.state, work.undone) == (TicketState.CANCELLED, 1)
        assert "who asked for it cancelled its task" in over.message
    assert work.begun == 1


async def test_a_job_that_ends_while_its_ticket_is_written_down_has_its_answer(tmp_path: Path) -> None:
    work = Work(answer=WsError("no"))
    async with open_server(tmp_path / "s") as server:
        held = await server.hold(work)
        work.may_end.set()
        await settle()
        ticket = await server.tickets.take(ALICE, held, TOOL, answered)
        assert (await server.over(ticket)).answer == "None no"


async def test_a_ticket_that_cannot_be_written_down_is_none(tmp_path: Path) -> None:
    work = Work()
    async with open_server(tmp_path / "s") as server:
        held = await server.hold(work)
        await server.state.aclose()
        with pytest.raises(StateError):
            await server.tickets.take(ALICE, held, TOOL, answered)
        held.come_back()
        assert work.undone == 0
        work.may_end.set()
        await settle()
        assert await server.jobs.run(REQUEST, work, quiet) == "done"
    assert work.begun == 1


async def test_tickets_are_forgotten_in_the_end_and_those_that_are_over_make_room(tmp_path: Path) -> None:
    clock, work, running = Clock(), Work(), Work()
    async with open_server(tmp_path / "s", clock) as server:
        ticket = await server.take(work)
        work.may_end.set()
        over = await server.over(ticket)
        clock.now += timedelta(seconds=1)
        held = await server.hold(running)
        owners = [TicketOwner(principal=ALICE.principal, chat=str(number)) for number in range(MOST)]
        *_, last = [await server.tickets.take(owner, Hold(held.job), TOOL, answered) for owner in owners]
        assert await server.tickets.look(ALICE, over.id) is None
        assert await server.tickets.look(ANY_OF_ALICE, last.id) is not None
        clock.now += timedelta(seconds=KEEP_S + 1)
        assert await server.tickets.look(ANY_OF_ALICE, last.id) is None
