"""Dev containers through a client: listed with their reasons, made anew, stopped and removed like workspaces."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.edge_client import MODES, ok, open_client, refused, resource, text_of
from support.fake_core import DEV, FakeCore

from ws_mcp.core.devcontainers.model import RecreateAsk, Sibling, Status, Target
from ws_mcp.core.errors import ForbiddenError
from ws_mcp.core.job import StillRunning

APP = {
    "name": "app",
    "folder": "/src/app",
    "config": ".devcontainer/devcontainer.json",
    "state": "running",
    "dirty": "dirty",
    "reasons": ["Dockerfile changed"],
    "container": "d" * 64,
    "user": "dev",
    "path": "/workspaces/app",
}


def core_with_app() -> FakeCore:
    core = FakeCore()
    core.devcontainers.there["app"] = DEV
    return core


@pytest.mark.parametrize("mode", MODES)
async def test_a_dev_container_is_listed_with_what_changed_beside_the_workspaces(mode: str) -> None:
    core = core_with_app()
    async with open_client(core, mode) as client:
        await ok(client, "provision_workspace")
        listed = await ok(client, "list_containers")
        assert listed["devcontainers"] == [APP]
        assert [workspace["name"] for workspace in listed["workspaces"]] == ["main"]
        assert json.loads(await resource(client, "ws://containers"))["devcontainers"] == [APP]
        assert json.loads(await resource(client, "ws://devcontainers")) == {"devcontainers": [APP]}


async def test_what_is_wrong_stands_beside_the_state() -> None:
    core = FakeCore()
    siblings = (Sibling(name="app-db-1", state="running"), Sibling(name="old", state="exited", is_duplicate=True))
    core.devcontainers.there["app"] = replace(
        DEV, error="postCreateCommand failed with exit code 3", is_complete=False, project="app", siblings=siblings
    )
    core.devcontainers.unknown = "the engine does not answer"
    async with open_client(core) as client:
        listed = await ok(client, "list_containers")
    assert listed["unknown"] == "the engine does not answer"
    assert listed["devcontainers"] == [
        {
            **APP,
            "error": "postCreateCommand failed with exit code 3",
            "is_set_up": False,
            "project": "app",
            "siblings": [
                {"name": "app-db-1", "state": "running"},
                {"name": "old", "state": "exited", "is_duplicate": True},
            ],
        }
    ]


@pytest.mark.parametrize("mode", MODES)
async def test_a_recreate_says_what_it_did_and_reports_how_far_it_is(mode: str) -> None:
    core = core_with_app()
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        assert 0 <= progress <= (total or 0)
        heard.append(message)

    async with open_client(core, mode) as client:
        result = await client.call_tool("recreate_devcontainer", {"name": "app"}, progress_callback=hear)
        assert not result.is_error, text_of(result)
        assert result.structured_content == {
            "change": "recreated",
            "devcontainer": {
                **{name: value for name, value in APP.items() if name != "reasons"},
                "dirty": "clean",
                "container": "e" * 64,
            },
            "old_container": "d" * 64,
            "reasons": ["Dockerfile changed"],
            "hooks": [{"name": "postCreateCommand", "seconds": 1.2}],
            "seconds": 3.2,
        }
    assert heard == ["building the image: step 2/4 RUN make"]
    assert core.devcontainers.asked == [(Target(name="app"), RecreateAsk(), 45.0)]


async def test_all_that_can_be_asked_of_a_recreate_reaches_the_core() -> None:
    core = core_with_app()
    async with open_client(core) as client:
        answer = await ok(
            client,
            "recreate_devcontainer",
            folder="/src/app",
            config=".devcontainer/a/devcontainer.json",
            force=True,
            dry_run=True,
            no_cache=True,
            wait_s=3,
        )
        assert (answer["is_dry_run"], answer["runs"]) == (True, ["devcontainer build"])
        assert "hooks" not in answer
        assert "wait_s" in await refused(client, "recreate_devcontainer", name="app", wait_s=46)
    target = Target(folder="/src/app", config=".devcontainer/a/devcontainer.json")
    assert core.devcontainers.asked == [(target, RecreateAsk(force=True, is_dry_run=True, no_cache=True), 3.0)]


async def test_a_long_recreate_says_how_far_it_is_and_what_to_do() -> None:
    core = core_with_app()
    core.devcontainers.pending = StillRunning(phase="building the image: step 2/4", fraction=0.3, elapsed_s=45.0)
    async with open_client(core) as client:
        answer = await ok(client, "recreate_devcontainer", name="app")
    assert answer == {
        "change": "working",
        "phase": "building the image: step 2/4",
        "seconds": 45.0,
        "note": "call recreate_devcontainer again with the same arguments: it goes on meanwhile, until stop_workspace "
        "gives it up",
    }


async def test_a_refusal_reaches_the_model_as_it_is_worded() -> None:
    core = core_with_app()
    core.devcontainers.fault = ForbiddenError("its initializeCommand runs on this machine: see --devcontainer-allow")
    async with open_client(core) as client:
        refusal = await refused(client, "recreate_devcontainer", name="app")
        assert refusal == "its initializeCommand runs on this machine: see --devcontainer-allow"
        assert "chat" in await refused(client, "recreate_devcontainer", name="app", chat="c_unknown")


async def test_a_dev_container_is_stopped_started_and_removed_by_its_name() -> None:
    core = core_with_app()
    async with open_client(core) as client:
        stopped = await ok(client, "stop_workspace", name="app")
        assert stopped == {"devcontainer": {**APP, "state": "stopped"}, "containers": ["app"]}
        assert core.devcontainers.there["app"].status is Status.STOPPED
        for _ in ("it is stopped", "it runs"):
            restarted = await ok(client, "stop_workspace", name="app", restart=True)
            assert restarted["devcontainer"]["state"] == "running"
        assert core.devcontainers.stops == 2
        removed = await ok(client, "remove_workspace", name="app")
        assert (removed["state"], removed["data"]) == ("removed", "kept")
        assert "recreate_devcontainer" in removed["note"]
        assert core.devcontainers.there == {}


async def test_what_takes_long_to_stop_goes_on() -> None:
    core = core_with_app()
    core.devcontainers.pending = StillRunning(phase="stopping", fraction=0.1, elapsed_s=45.0)
    async with open_client(core) as client:
        assert "call again" in (await ok(client, "stop_workspace", name="app", restart=True))["note"]
        removed = await ok(client, "remove_workspace", name="app")
        assert (removed["state"], "call again" in removed["note"]) == ("removing", True)


async def test_a_workspace_of_the_chat_wins_over_a_dev_container_of_its_name() -> None:
    core = core_with_app()
    async with open_client(core) as client:
        await ok(client, "provision_workspace", name="app")
        assert "a workspace of this chat has the same name" in str(
            (await ok(client, "list_containers"))["devcontainers"]
        )
        assert (await ok(client, "stop_workspace", name="app"))["workspace"]["state"] == "stopped"
        await ok(client, "remove_workspace", name="app")
        assert core.devcontainers.there == {"app": DEV}


async def test_a_removal_that_is_repeated_never_takes_the_dev_container_of_the_same_name() -> None:
    core = core_with_app()
    async with open_client(core) as client:
        await ok(client, "provision_workspace", name="app")
        await ok(client, "remove_workspace", name="app")
        refusal = await refused(client, "remove_workspace", name="app")
        assert "is removed" in refusal
        assert "d" * 12 in refusal
        assert core.devcontainers.there == {"app": DEV}
        # Its container's id means nothing else.
        assert (await ok(client, "remove_workspace", name="d" * 12))["state"] == "removed"
    assert core.devcontainers.there == {}


async def test_while_workspaces_are_unknown_no_dev_container_is_taken_for_one() -> None:
    core = core_with_app()
    async with open_client(core) as client:
        core.unknown = "the engine does not answer"
        for tool in ("stop_workspace", "remove_workspace"):
            assert "app" in await refused(client, tool, name="app")
    assert (core.devcontainers.there, core.devcontainers.stops) == ({"app": DEV}, 0)
