"""A chat is closed: what runs in it ends, what it has stops or goes, and nothing of another chat is touched."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from ws_mcp.core.chats import ChatNotFoundError
from ws_mcp.core.choices import Choices
from ws_mcp.core.closing import Closed, Closer, Closing
from ws_mcp.core.errors import LimitError
from ws_mcp.core.host import sandbox
from ws_mcp.core.ids import ChatId, PlaceId, PrincipalId, ProcessId, Scope, WorkspaceName
from ws_mcp.core.policy.limits import Limits
from ws_mcp.core.processes.model import Listing, ProcessInfo, ProcessState, StartRequest
from ws_mcp.core.runtime import Core, open_core
from ws_mcp.core.workspaces.model import (
    Ask,
    Removed,
    Workspace,
    WorkspaceKind,
    WorkspaceListing,
    WorkspaceSpec,
    WorkspaceState,
)

ALICE, BOB = PrincipalId("alice"), PrincipalId("bob")
MINE = Scope(principal=ALICE, chat=ChatId("mine"))
A, B = WorkspaceName("a"), WorkspaceName("b")


@pytest.fixture(autouse=True)
def _needs_a_sandbox(real_io: None) -> None:
    if not sandbox.has_bubblewrap():
        pytest.skip("bubblewrap is not installed")


async def quiet(_phase: str, _fraction: float) -> None: ...


@asynccontextmanager
async def open_cores(path: Path, ceilings: Limits | None = None) -> AsyncGenerator[Core]:
    async with open_core(Choices(state=path / "state", ceilings=lambda: ceilings), None) as core:
        try:
            yield core
        finally:
            with anyio.CancelScope(shield=True):
                for scope, workspace in await core.all_workspaces():
                    await core.remove(scope, workspace.name, keep_volume=False)


async def make(core: Core, scope: Scope, *names: WorkspaceName) -> None:
    for name in names:
        await core.provision(scope, WorkspaceSpec(name=name, kind=WorkspaceKind.LOCAL), Ask(), quiet)


async def chat_of(core: Core, principal: PrincipalId) -> tuple[Scope, str]:
    made = await core.new_chat(principal, "x")
    return Scope(principal=principal, chat=made.id), made.handle


async def running(core: Core, scope: Scope) -> int:
    return (await core.processes(scope).list(ProcessState.RUNNING, 1)).running


async def test_a_closed_chat_has_nothing_any_more_and_others_have_all_they_had(tmp_path: Path) -> None:
    async with open_cores(tmp_path) as core:
        mine, handle = await chat_of(core, ALICE)
        other, _ = await chat_of(core, ALICE)
        foreign, _ = await chat_of(core, BOB)
        await make(core, mine, A, B)
        for scope in (other, foreign):
            await make(core, scope, A)
        for scope, name in ((mine, A), (mine, B), (other, A), (foreign, A)):
            await core.processes(scope).start(name, StartRequest(command="sleep 100"))
        closed = await core.close(mine, Closing.DELETE)
        assert closed == Closed(workspaces=(A, B), ended_processes=2, is_forgotten=True)
        assert (await core.workspaces(mine)).workspaces == ()
        with pytest.raises(ChatNotFoundError):
            await core.chat(ALICE, handle)
        for scope in (other, foreign):
            assert await running(core, scope) == 1
        assert {chat.id for chat in await core.chats(ALICE)} == {other.chat}


async def test_a_stopped_chat_keeps_its_workspaces_and_is_found_again(tmp_path: Path) -> None:
    async with open_cores(tmp_path) as core:
        mine, handle = await chat_of(core, ALICE)
        await make(core, mine, A)
        await core.processes(mine).start(A, StartRequest(command="sleep 100"))
        closed = await core.close(mine, Closing.STOP)
        assert (closed.workspaces, closed.ended_processes, closed.is_forgotten) == ((A,), 1, False)
        assert [each.state for each in (await core.workspaces(mine)).workspaces] == [WorkspaceState.STOPPED]
        assert (await core.chat(ALICE, handle)).id == mine.chat
        assert await core.close(mine, Closing.STOP) == Closed()


async def test_processes_of_all_workspaces_that_stop_at_once_are_counted(tmp_path: Path) -> None:
    async with open_cores(tmp_path) as core:
        mine, _ = await chat_of(core, ALICE)
        await make(core, mine, A, B)
        for name in (A, B):
            await core.processes(mine).start(name, StartRequest(command="sleep 100"))
        closed = await core.close(mine, Closing.STOP)
        assert (closed.workspaces, closed.ended_processes) == ((A, B), 2)


async def test_data_stays_unless_asked_and_is_found_again(tmp_path: Path) -> None:
    async with open_cores(tmp_path) as core:
        mine, handle = await chat_of(core, ALICE)
        await make(core, mine, A)
        await core.files.write(mine, A, "kept", b"x", is_executable=False)
        closed = await core.close(mine, Closing.REMOVE)
        assert (closed.workspaces, closed.kept_data, closed.is_forgotten) == ((A,), (A,), False)
        assert (await core.chat(ALICE, handle)).id == mine.chat
        await make(core, mine, A)
        assert (await core.files.read(mine, A, "kept", 0, 10)).content == b"x"


async def test_the_chat_that_a_hint_selects_is_emptied_and_stays_known(tmp_path: Path) -> None:
    async with open_cores(tmp_path) as core:
        made = await core.default_chat(ALICE, "project:/src/app")
        mine = Scope(principal=ALICE, chat=made.id)
        await make(core, mine, A)
        assert not (await core.close(mine, Closing.DELETE)).is_forgotten
        (known,) = await core.chats(ALICE)
        assert (known.id, known.is_default, known.label) == (made.id, True, "project:/src/app")


async def test_a_label_that_looks_like_a_hint_makes_no_default_chat(tmp_path: Path) -> None:
    async with open_cores(tmp_path) as core:
        await core.new_chat(ALICE, "project:/src/app")
        (known,) = await core.chats(ALICE)
        assert not known.is_default


async def test_a_principal_has_so_many_workspaces_also_after_a_restart(tmp_path: Path) -> None:
    limits = Limits(workspaces=1, principal_times=2)
    async with open_core(Choices(state=tmp_path / "state", ceilings=lambda: limits), None) as core:
        chats = [(await chat_of(core, ALICE))[0] for _ in range(3)]
        for scope in chats[:2]:
            await make(core, scope, A)
    async with open_cores(tmp_path, limits) as core:
        with pytest.raises(LimitError, match="`workspaces` is 2 for one principal, and there are 2: remove one with"):
            await make(core, chats[2], A)
        await make(core, chats[0], A)  # what is there stays as it is
        await make(core, (await chat_of(core, BOB))[0], A)
        await core.remove(chats[0], A, keep_volume=True)
        await make(core, chats[2], A)


async def test_fewer_workspaces_count_from_the_moment_that_the_operator_says_so(tmp_path: Path) -> None:
    said: list[Limits | None] = [None]
    async with open_core(Choices(state=tmp_path / "state", ceilings=lambda: said[-1]), None) as core:
        scope, _ = await chat_of(core, ALICE)
        await make(core, scope, A)
        said.append(Limits(all_workspaces=1))
        other, _ = await chat_of(core, BOB)
        with pytest.raises(LimitError, match="`all_workspaces` is 1 for this server, and there are 1"):
            await make(core, other, A)
        await make(core, scope, A)
        said.append(Limits(all_workspaces=2))
        await make(core, other, A)


async def test_a_server_has_so_many_workspaces_whoever_has_them(tmp_path: Path) -> None:
    async with open_cores(tmp_path, Limits(all_workspaces=2)) as core:
        for principal in (ALICE, BOB):
            await make(core, (await chat_of(core, principal))[0], A)
        with pytest.raises(LimitError, match="`all_workspaces` is 2 for this server"):
            await make(core, (await chat_of(core, BOB))[0], A)


async def test_a_principal_has_so_many_running_processes(tmp_path: Path) -> None:
    async with open_cores(tmp_path, Limits(processes=1, principal_times=2, all_processes=3)) as core:
        chats = [(await chat_of(core, who))[0] for who in (ALICE, ALICE, ALICE, BOB, BOB)]
        for scope in chats:
            await make(core, scope, A)
        started = [(await core.processes(s).start(A, StartRequest(command="sleep 100"))).info for s in chats[:2]]
        with pytest.raises(LimitError, match="`processes` is 2 for one principal, and there are 2: end some"):
            await core.processes(chats[2]).start(A, StartRequest(command="sleep 100"))
        await core.processes(chats[3]).start(A, StartRequest(command="sleep 100"))
        with pytest.raises(LimitError, match="`all_processes` is 3 for this server"):
            await core.processes(chats[4]).start(A, StartRequest(command="sleep 100"))
        await core.processes(chats[0]).signal(started[0].process, "KILL", 0)
        await core.processes(chats[2]).start(A, StartRequest(command="true"))


NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWN = Workspace(
    name=A,
    kind=WorkspaceKind.LOCAL,
    place=PlaceId("own"),
    state=WorkspaceState.RUNNING,
    image="",
    tier=2,
    created_at=NOW,
)


def running_in(place: str, process: str) -> ProcessInfo:
    """A process that runs in what has the name of the chat's own workspace, or is it."""
    return ProcessInfo(
        process=ProcessId(process),
        workspace=A,
        place=PlaceId(place),
        command="sleep 100",
        cwd="/",
        state=ProcessState.RUNNING,
        started_at=NOW,
    )


class Elsewhere:
    """A chat with a local workspace, and processes in dev containers, one of which does not answer."""

    def __init__(self, *processes: ProcessInfo, unavailable: tuple[str, ...]) -> None:
        self.listing = Listing(processes=processes, total=0, running=0, unavailable=unavailable)
        self.signalled: list[ProcessId] = []
        self.is_forgotten = False

    async def list(self, *asked: object) -> Listing | WorkspaceListing:
        return self.listing if len(asked) > 1 else WorkspaceListing(workspaces=(OWN,))

    def processes(self, _: Scope) -> Elsewhere:
        return self

    async def signal(self, process: ProcessId, *_: object) -> None:
        self.signalled.append(process)

    async def remove(self, _: Scope, name: WorkspaceName, *, keep_volume: bool) -> Removed:
        return Removed(name=name, ended_processes=0, kept_volume="")

    async def volumes(self) -> tuple[()]:
        return ()

    async def forget(self, _: Scope) -> bool:
        self.is_forgotten = True
        return True


async def test_what_runs_in_a_dev_container_ends_whatever_its_name_and_one_that_is_silent_is_named() -> None:
    chat = Elsewhere(running_in(OWN.place, "p_own"), running_in("dev", "p_beside"), unavailable=("silent", A))
    closed = await Closer(*(cast("Any", chat),) * 4).close(MINE, Closing.DELETE)
    assert chat.signalled == ["p_beside"]
    assert closed.failures == ("what runs in 'silent' is not known now, and was not ended",)
    assert not closed.is_forgotten
    assert not chat.is_forgotten
    chat.listing = replace(chat.listing, unavailable=())
    assert (await Closer(*(cast("Any", chat),) * 4).close(MINE, Closing.DELETE)).is_forgotten
