"""How one workspace and its processes are shown to a person."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from ws_mcp.chats import list_chats
from ws_mcp.console import Console, home_path
from ws_mcp.core.devcontainers.model import DevContainer, Freshness, Key, Status, Verdict
from ws_mcp.core.errors import StateError
from ws_mcp.core.ids import ChatId, PlaceId, PrincipalId, ProcessId, Scope, WorkspaceName
from ws_mcp.core.processes.model import Exit, OutputRange, ProcessInfo, ProcessState
from ws_mcp.core.workspaces.model import PortUrl, Workspace, WorkspaceKind, WorkspaceState
from ws_mcp.ps import Place, ps, show_place
from ws_mcp.ps_devcontainers import Seen, SeenOne, show_devcontainers
from ws_mcp.settings import Settings

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WORKSPACE = Workspace(
    name=WorkspaceName("main"),
    kind=WorkspaceKind.CONTAINER,
    place=PlaceId("wsmcp-x"),
    state=WorkspaceState.RUNNING,
    image="debian:stable-slim",
    tier=2,
    created_at=NOW - timedelta(hours=3),
    ports=(PortUrl(container_port=8000, host="127.0.0.1", host_port=49153),),
)
RUNNING = ProcessInfo(
    process=ProcessId("p_running1"),
    workspace=WORKSPACE.name,
    place=WORKSPACE.place,
    command="make\x1b[31m watch\n",
    cwd="/workspace",
    state=ProcessState.RUNNING,
    started_at=NOW - timedelta(minutes=5),
    out=OutputRange(end=3 * 1024),
)
ENDED = replace(RUNNING, process=ProcessId("p_ended111"), state=ProcessState.ENDED, exit=Exit(signal="KILL"))
LOST = replace(RUNNING, process=ProcessId("p_lost1111"), state=ProcessState.LOST)


def shown(
    *processes: ProcessInfo, workspace: Workspace = WORKSPACE, unknown: str = "", show_ended: bool = False
) -> str:
    scope = Scope(principal=PrincipalId("local:0"), chat=ChatId("abc"))
    out = io.StringIO()
    console = Console(out, io.StringIO(), is_coloured=False, columns=100)
    place = Place(scope=scope, workspace=workspace, processes=processes, unknown=unknown)
    show_place(console, place, NOW, show_ended=show_ended)
    return out.getvalue()


def test_a_running_process_is_one_line_with_age_and_output() -> None:
    text = shown(RUNNING)
    assert "main: container, running, tier 2, debian:stable-slim, port 8000 at http://127.0.0.1:49153, 3 h old" in text
    assert "p_running1  running  5 min  3.0 KiB  make [31m watch" in text


def test_commands_cannot_write_to_the_terminal() -> None:
    assert "\x1b" not in shown(RUNNING)


def test_ended_processes_are_counted_and_shown_when_asked_for() -> None:
    assert "1 ended; --all shows them" in shown(RUNNING, ENDED)
    assert "p_ended111" not in shown(RUNNING, ENDED)
    assert "p_ended111  killed by KILL" in shown(RUNNING, ENDED, show_ended=True)


def test_a_lost_process_is_never_hidden() -> None:
    assert "p_lost1111  lost" in shown(LOST)


def test_what_does_not_answer_is_unknown_and_not_empty() -> None:
    text = shown(unknown="its container hangs")
    assert "its processes are unknown now: its container hangs" in text
    assert "no processes" not in text


@pytest.mark.parametrize(
    ("state", "unknown", "is_unknown"),
    [
        (WorkspaceState.RUNNING, "", False),
        (WorkspaceState.STOPPED, "", False),
        (WorkspaceState.RUNNING, "its execd does not answer", True),
        (WorkspaceState.UNKNOWN, "", True),
    ],
)
def test_what_could_not_be_looked_at_counts_as_unknown(state: WorkspaceState, unknown: str, is_unknown: bool) -> None:
    scope = Scope(principal=PrincipalId("local:0"), chat=ChatId("abc"))
    place = Place(scope=scope, workspace=replace(WORKSPACE, state=state), unknown=unknown)
    assert place.is_unknown is is_unknown


def test_an_idle_workspace_says_so() -> None:
    assert "no processes" in shown()


def test_a_stopped_workspace_says_how_to_start_it() -> None:
    assert "provision_workspace starts it again" in shown(workspace=replace(WORKSPACE, state=WorkspaceState.STOPPED))


@pytest.mark.parametrize(
    ("path", "text"), [("{home}", "~"), ("{home}/a", "~/a"), ("{home}x/a", "{home}x/a"), ("/a", "/a")]
)
def test_the_home_directory_is_shortened(path: str, text: str) -> None:
    home = str(Path.home())
    assert home_path(path.format(home=home)) == text.format(home=home)


# --- dev containers ---

DEV = DevContainer(
    key=Key(folder="/src/shop", config="/src/shop/.devcontainer/devcontainer.json"),
    name="shop",
    status=Status.RUNNING,
    verdict=Verdict(freshness=Freshness.CLEAN),
)
DIRTY = Verdict(freshness=Freshness.DIRTY, reasons=("Dockerfile changed", "base image updated"))


def shown_dev(*processes: ProcessInfo, unknown: str = "", show_ended: bool = False, **changed: object) -> str:
    out = io.StringIO()
    console = Console(out, io.StringIO(), is_coloured=False, columns=100)
    of_chats = tuple((ChatId(f"chat{number}" * 4), info) for number, info in enumerate(processes))
    found = replace(DEV, **changed)  # pyright: ignore[reportArgumentType]  # the tests name fields of it
    one = SeenOne(found=found, processes=of_chats, unknown=unknown)
    show_devcontainers(console, Seen(all=(one,)), NOW, show_ended=show_ended)
    return out.getvalue()


def test_a_dev_container_is_one_line_with_its_state_and_why_it_is_out_of_date() -> None:
    assert "  shop: running, /src/shop\n" in shown_dev()
    text = shown_dev(verdict=DIRTY, is_complete=False, error="postCreateCommand failed")
    assert "shop: running, out of date (Dockerfile changed; base image updated), not set up, /src/shop\n" in text
    assert "    postCreateCommand failed\n" in text
    assert "shop: absent, /src/shop" in shown_dev(status=Status.ABSENT, verdict=None)


def test_processes_in_a_dev_container_say_whose_they_are() -> None:
    text = shown_dev(RUNNING, LOST, ENDED)
    assert "chat0cha  p_running1  running  5 min" in text
    assert "chat1cha  p_lost1111  lost" in text
    assert "1 ended; --all shows them" in text
    assert "p_ended111  killed by KILL" in shown_dev(ENDED, show_ended=True)


def test_a_dev_container_that_does_not_answer_is_unknown_and_not_empty() -> None:
    assert "its processes are unknown now: its container hangs" in shown_dev(unknown="its container hangs")
    assert Seen(all=(SeenOne(found=DEV, unknown="x"),)).is_unknown
    assert not Seen(all=(SeenOne(found=DEV),)).is_unknown


def test_without_dev_containers_nothing_is_said_of_them() -> None:
    out = io.StringIO()
    show_devcontainers(Console(out, io.StringIO(), is_coloured=False, columns=100), Seen(), NOW, show_ended=False)
    assert out.getvalue() == ""


@pytest.mark.anyio
@pytest.mark.parametrize("command", [partial(ps, show_ended=False), list_chats])
async def test_of_a_state_that_is_in_a_database_the_directory_says_nothing(
    tmp_path: Path, command: Callable[[Settings], Awaitable[int]]
) -> None:
    nowhere = Settings(state=tmp_path / "state", engine="none", state_database="postgresql://x@127.0.0.1:1/x")
    with pytest.raises(StateError, match="state database"):
        await command(nowhere)
