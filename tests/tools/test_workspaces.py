"""Workspaces through a client: made on first use, found again, removed with their data kept unless said otherwise."""

from __future__ import annotations

import pytest
from support.edge_client import MODES, call, ok, open_client, refused, text_of
from support.fake_core import FakeCore

from ws_mcp.core.errors import ImageNotFoundError
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.workspaces.model import WorkspaceKind, WorkspaceSpec

MAIN = {
    "name": "main",
    "kind": "container",
    "state": "running",
    "tier": 2,
    "created_at": "2026-11-20T12:00:00Z",
    "image": "debian:13",
    "path": "/workspace",
    "has_data": True,
}


@pytest.mark.parametrize("mode", MODES)
async def test_a_workspace_is_made_and_is_there_when_asked_for_again(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        made = await ok(client, "provision_workspace")
        assert made["workspace"] == MAIN
        assert made["change"] == "created"
        assert made["chat"].startswith("c_")
        assert 'chat="new"' in made["note"]
        again = await ok(client, "provision_workspace")
        assert (again["change"], again["workspace"]) == ("none", MAIN)
        # The image is left open: a default at first, later as it is.
        assert core.specs == [WorkspaceSpec(name=WorkspaceName("main"), kind=WorkspaceKind.CONTAINER)] * 2


async def test_both_halves_of_an_answer_say_the_same() -> None:
    async with open_client(FakeCore()) as client:
        result = await call(client, "provision_workspace", name="api", ports=[8000])
        assert result.structured_content is not None
        assert result.structured_content["workspace"]["ports"] == [{"port": 8000, "url": "http://127.0.0.1:48000"}]
        assert '"ports":[{"port":8000,"url":"http://127.0.0.1:48000"}]' in text_of(result)


async def test_what_is_asked_for_reaches_the_core() -> None:
    core = FakeCore()
    async with open_client(core) as client:
        await ok(
            client,
            "provision_workspace",
            name="api",
            image="python:3.14",
            kind="container",
            tier=1,
            env={"A": "1"},
            ports=[80],
            volume=False,
        )
        assert core.specs == [
            WorkspaceSpec(
                name=WorkspaceName("api"),
                kind=WorkspaceKind.CONTAINER,
                image="python:3.14",
                tier=1,
                environment={"A": "1"},
                ports=(80,),
                has_volume=False,
            )
        ]


@pytest.mark.parametrize("tier", [0, -1])
async def test_a_tier_below_the_first_is_refused_and_not_taken_for_the_default(tier: int) -> None:
    core = FakeCore()
    async with open_client(core) as client:
        text = await refused(client, "provision_workspace", tier=tier)
        assert text == "provision_workspace: `tier` input should be greater than or equal to 1"
        assert core.specs == []


@pytest.mark.parametrize("mode", MODES)
async def test_without_an_engine_a_workspace_is_local_and_stays_so(mode: str) -> None:
    core = FakeCore(has_engine=False)
    async with open_client(core, mode) as client:
        made = await ok(client, "provision_workspace")
        assert (made["workspace"]["kind"], made["workspace"]["sandbox"]) == ("local", "none")
        core.has_engine = True
        again = await ok(client, "provision_workspace")
        assert (again["workspace"]["kind"], again["change"]) == ("local", "none")
        await ok(client, "provision_workspace", name="other")
        assert [spec.kind.value for spec in core.specs] == ["local", "local", "container"]
        assert core.specs[0].image == ""


async def test_no_path_of_this_machine_and_no_value_of_an_environment_is_shown() -> None:
    async with open_client(FakeCore(has_engine=False)) as client:
        made = await call(client, "provision_workspace", env={"TOKEN": "hunter2"})
        listed = await call(client, "list_containers")
        for result in (made, listed):
            assert "/home" not in text_of(result)
            assert "hunter2" not in text_of(result)
            assert "TOKEN" not in text_of(result)


@pytest.mark.parametrize("mode", MODES)
async def test_progress_is_reported_to_a_client_that_asks(mode: str) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with open_client(FakeCore(), mode) as client:
        await client.call_tool("provision_workspace", {}, progress_callback=on_progress)
    assert seen == [(0.4, 1.0, "creating the container"), (0.9, 1.0, "waiting for execd")]


@pytest.mark.parametrize("mode", MODES)
async def test_workspaces_are_listed_with_what_is_not_known(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        made = await ok(client, "provision_workspace")
        assert await ok(client, "list_containers") == {"chat": made["chat"], "workspaces": [MAIN]}
        core.unknown = "no container engine answers"
        listing = await ok(client, "list_containers", chat=made["chat"])
        assert listing["unknown"] == "no container engine answers"


@pytest.mark.parametrize("mode", MODES)
async def test_a_removal_says_what_became_of_the_data(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        await ok(client, "provision_workspace")
        removed = await ok(client, "remove_workspace", name="main")
        assert removed == {
            "workspace": "main",
            "state": "removed",
            "ended_processes": 1,
            "data": "kept",
            "note": "provision_workspace with name 'main' finds its data again",
        }
        assert await refused(client, "remove_workspace", name="main") == (
            "this chat has no workspace 'main'; it has no workspace yet. Call provision_workspace to make one."
        )
        await ok(client, "provision_workspace")
        removed = await ok(client, "remove_workspace", name="main", keep_data=False)
        assert (removed["data"], "note" in removed) == ("removed", False)


async def test_a_failure_of_the_core_reaches_the_model_as_it_is_worded() -> None:
    core = FakeCore()
    core.provision_fault = ImageNotFoundError("image 'nope' is not on the engine; docker pull nope, or build it")
    async with open_client(core) as client:
        assert await refused(client, "provision_workspace", image="nope") == (
            "image 'nope' is not on the engine; docker pull nope, or build it"
        )
