"""How a sweep is shown to a person, and what it does to a real state directory and an engine."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.placement_ground import a_swarm, left_over, open_server
from support.workspace_ground import SPEC

from ws_mcp.console import Console
from ws_mcp.core.ids import ContainerId, PlaceId, WorkspaceName
from ws_mcp.core.workspaces.sweep_plan import KEPT_DATA, NEVER_STARTED, NO_CONTAINER, Leftover, LeftoverKind
from ws_mcp.core.workspaces.sweeper import SweepWish, Swept
from ws_mcp.sweep import NodesSwept, show_nodes, show_swept, swept_nodes

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


def shown_of(found: NodesSwept, wish: SweepWish) -> tuple[int, list[str]]:
    out = io.StringIO()
    code = show_nodes(Console(out, io.StringIO(), is_coloured=False, columns=200), found, wish)
    return code, out.getvalue().splitlines()


@pytest.mark.anyio
async def test_all_nodes_of_a_swarm_are_swept_and_its_managers(tmp_path: Path) -> None:
    swarm = a_swarm()
    look, do = SweepWish(has_data=True, older_than_s=0), SweepWish(has_data=True, older_than_s=0, is_dry_run=False)
    async with open_server(swarm, tmp_path) as server:
        kept = await server.made(replace(SPEC, name=WorkspaceName("kept"), network="team"))
        before = await left_over(swarm)
        own, team = await server.made(), await server.made(replace(SPEC, name=WorkspaceName("b"), network="other"))
        for each in (own, team):
            assert each.container is not None
            await swarm.engine_of[each.node].remove(each.container)
        assert (await server.listed())[0].place == kept.place
        _, lines = shown_of(await swept_nodes(server.placement, server.state, look), look)
        assert sorted(line.partition(" ")[0] for line in lines[1:-1]) == ["network", "volume", "volume"]
        code, lines = shown_of(await swept_nodes(server.placement, server.state, do), do)
        assert (code, lines[0], lines[-1]) == (0, "2 rooms of no workspace were released.", "4 removed.")
        assert sum("no container of the chat is in it" in line for line in lines) == 1
        code, lines = shown_of(await swept_nodes(server.placement, server.state, do), do)
        assert (code, lines) == (0, ["Nothing belongs to nobody: there is nothing to sweep."])
        assert await left_over(swarm) == before


@pytest.mark.anyio
async def test_a_node_that_does_not_answer_is_left_out_and_named(tmp_path: Path) -> None:
    swarm = a_swarm()
    do = SweepWish(has_data=True, older_than_s=0, is_dry_run=False)
    async with open_server(swarm, tmp_path) as server:
        made = await server.made(replace(SPEC, network="team"))
        await server.listed()
        before = await left_over(swarm)
        await swarm.lose(made.hostname)
        await server.noticed()
        code, lines = shown_of(await swept_nodes(server.placement, server.state, do), do)
        assert (code, len(lines)) == (1, 2)
        assert lines[0].startswith(f"Node {made.hostname} does not answer and was left out: the managers say")
        assert lines[1] == "Nothing belongs to nobody: there is nothing to sweep."
        assert await left_over(swarm) == before
        assert len(swarm.managers.found) == len(swarm.overlays) == 1


@pytest.mark.anyio
async def test_a_dry_run_names_the_network_of_rooms_that_would_go(tmp_path: Path) -> None:
    swarm = a_swarm()
    look = SweepWish(older_than_s=0)
    async with open_server(swarm, tmp_path) as server:
        made = await server.made(replace(SPEC, network="team"))
        assert made.container is not None
        await swarm.engine_of[made.node].remove(made.container)
        await swarm.engine_of[made.node].remove_volume(made.volume)
        _, lines = shown_of(await swept_nodes(server.placement, server.state, look), look)
        assert lines[0] == "1 rooms of no workspace would be released."
        assert lines[-1].startswith("1 would be removed")
        assert len(swarm.managers.found) == len(swarm.overlays) == 1
