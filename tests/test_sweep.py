"""How a sweep is shown to a person, and what it does to a real state directory and an engine."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ws_mcp.console import Console
from ws_mcp.core.ids import ContainerId, PlaceId, WorkspaceName
from ws_mcp.core.workspaces.sweep_plan import KEPT_DATA, NEVER_STARTED, NO_CONTAINER, Leftover, LeftoverKind
from ws_mcp.core.workspaces.sweeper import Swept
from ws_mcp.sweep import show_swept

NOW = datetime(2026, 1, 8, 12, tzinfo=UTC)
CONTAINER = Leftover(
    kind=LeftoverKind.CONTAINER,
    name="wsmcp-x",
    place=PlaceId("wsmcp-x"),
    workspace=WorkspaceName("main"),
    why=NEVER_STARTED,
    container=ContainerId("f" * 64),
    created_at=NOW - timedelta(days=7),
)
NETWORK = replace(CONTAINER, kind=LeftoverKind.NETWORK, name="wsmcp-x-net", why=NO_CONTAINER, created_at=None)
DATA = replace(CONTAINER, kind=LeftoverKind.VOLUME, name="wsmcp-x-data", why=KEPT_DATA, is_data=True)


def shown(swept: Swept, *, is_dry_run: bool) -> list[str]:
    out = io.StringIO()
    show_swept(Console(out, io.StringIO(), is_coloured=False, columns=100), swept, NOW, is_dry_run=is_dry_run)
    return out.getvalue().splitlines()


def test_a_dry_run_is_a_table_of_what_would_go_and_says_how_to_do_it() -> None:
    assert shown(Swept(due=(CONTAINER, DATA, NETWORK)), is_dry_run=True) == [
        "KIND       WORKSPACE  AGE  WHY                                  NAME",
        "container  main       7 d  it was created and never started     wsmcp-x",
        "volume     main       7 d  it was kept when its workspace went  wsmcp-x-data",
        "network    main       ?    its workspace has no container       wsmcp-x-net",
        "3 would be removed; nothing was: ws-mcp sweep --apply removes them.",
    ]


def test_a_sweep_shows_what_went_and_what_was_kept_with_the_reason() -> None:
    swept = Swept(due=(CONTAINER, NETWORK), removed=(NETWORK,), kept=((CONTAINER, "a server works\x1b on it"),))
    assert shown(swept, is_dry_run=False)[1:] == [
        "network  main       ?    its workspace has no container  wsmcp-x-net",
        "container wsmcp-x of main was kept: a server works on it",
        "1 removed.",
    ]


def test_an_engine_that_stopped_answering_is_said() -> None:
    lines = shown(Swept(due=(CONTAINER,), failure="no engine answers"), is_dry_run=False)
    assert lines == ["The engine stopped answering, so the rest was kept: no engine answers", "0 removed."]


def test_nothing_is_said_in_one_line() -> None:
    assert shown(Swept(due=()), is_dry_run=True) == ["Nothing belongs to nobody: there is nothing to sweep."]
