"""Workspaces through a client: made on first use, found again, removed with their data kept unless said otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.edge_client import MODES, call, ok, open_client, refused, text_of
from support.fake_core import FakeCore

from ws_mcp.core.errors import ImageNotFoundError
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.workspaces.model import Pending, Provisioned, WorkspaceKind, WorkspaceSpec

MAIN = {
    "name": "main",
    "kind": "container",
    "state": "running",
    "tier": 2,
    "created_at": "2026-11-20T12:00:00Z",
    "image": "debian:13",
    "path": "/workspace",
    "has_data": True,
    "network": "own",
    "limits": "512 MiB of memory, 1 processor, 256 processes",
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
    # A new phase is told also where it is no further: MCP wants each value to be larger than the last.
    assert seen == [
        (0.4, 1.0, "creating the container"),
        (0.401, 1.0, "still creating it"),
        (0.9, 1.0, "waiting for execd"),
    ]


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


@pytest.mark.parametrize("mode", MODES)
async def test_a_removal_of_what_had_no_data_removes_none(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        for keep_data in (True, False):
            folder = {"folder": "/srv/project", "access": "read_write"}
            await ok(client, "provision_workspace", options=folder)
            removed = await ok(client, "remove_workspace", name="main", keep_data=keep_data)
            assert (removed["data"], "note" in removed) == ("none", False)


@pytest.mark.parametrize("mode", MODES)
async def test_a_provision_that_takes_long_is_come_back_to(mode: str) -> None:
    core = FakeCore()
    core.pending = Pending(phase="pulling the image", elapsed_s=45.04)
    seen: list[str | None] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(message)

    async with open_client(core, mode) as client:
        first = await client.call_tool("provision_workspace", {"chat": "new"}, progress_callback=on_progress)
        assert not first.is_error
        answer = first.structured_content
        assert answer is not None
        chat = answer.pop("chat")
        assert answer == {
            "change": "working",
            "phase": "pulling the image",
            "seconds": 45.0,
            "note": "call provision_workspace again with the same arguments: it goes on meanwhile",
        }
        assert seen == ["creating the container", "still creating it", "waiting for execd"]
        core.pending = None
        made = await ok(client, "provision_workspace", chat=chat)
        assert (made["change"], core.specs[0]) == ("created", core.specs[1])


@pytest.mark.parametrize("mode", MODES)
async def test_a_dry_run_says_what_would_be_done_and_does_nothing(mode: str) -> None:
    core = FakeCore()
    core.answer = lambda made: replace(made, change="recreated", reasons=("tier is 1, not 2",))
    async with open_client(core, mode) as client:
        options = {"dry_run": True, "folder": "/srv/project/", "access": "read_only"}
        told = await ok(client, "provision_workspace", image="debian:13", options=options)
        assert (told["change"], told["is_dry_run"]) == ("recreated", True)
        assert told["reasons"] == ["tier is 1, not 2"]
        assert "workspace" not in told
        assert (await ok(client, "list_containers"))["workspaces"] == []


async def test_a_dry_run_shows_no_path_of_this_machine_but_those_that_were_given() -> None:
    async with open_client(FakeCore()) as client:
        options = {"dry_run": True, "folder": "/srv/project", "access": "read_only"}
        told = await call(client, "provision_workspace", image="debian:13", options=options)
        assert told.structured_content is not None
        assert told.structured_content["request"] == {
            "Image": "debian:13",
            "HostConfig": {
                "Memory": 1,
                "Mounts": [
                    {"Target": "/.ws-mcp", "Type": "volume", "Source": "execd"},
                    {"Target": "/workspace", "Type": "bind", "Source": "/srv/project"},
                    {"Target": "/home/me/repo/.git", "Type": "bind", "Source": "(hidden)"},
                ],
            },
        }


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_out_of_date_and_kept_is_said_with_what_to_do(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        await ok(client, "provision_workspace", chat="new")
        core.answer = lambda made: replace(made, change="none", reasons=("the template changed",), notes=("no git",))
        kept = await ok(client, "provision_workspace", chat="new")
        assert kept["reasons"] == ["the template changed"]
        assert kept["note"].startswith("no git; it is out of date and was kept, since processes run in it: with")
        assert 'replace="always"' in kept["note"]
        core.answer = lambda made: replace(made, change="recreated", reasons=("the template changed",))
        made = await ok(client, "provision_workspace", chat="new")
        assert (made["change"], made["reasons"], "note" in made) == ("recreated", ["the template changed"], False)


@pytest.mark.parametrize(
    ("is_ready", "text"),
    [(True, "ready at http://127.0.0.1:48000/"), (False, "not ready after 5 s: refused; it logged nothing")],
    ids=["ready", "not ready"],
)
async def test_a_probe_answers_whatever_it_found(is_ready: bool, text: str) -> None:
    core = FakeCore()

    def answer(made: Provisioned) -> Provisioned:
        return replace(made, is_ready=is_ready, readiness=text)

    core.answer = answer
    async with open_client(core) as client:
        made = await ok(client, "provision_workspace", options={"ready": {"http": 8000}})
        assert (made["change"], made["is_ready"], made["readiness"]) == ("created", is_ready, text)


@pytest.mark.parametrize("mode", MODES)
async def test_a_workspace_is_stopped_and_started_again(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        await ok(client, "provision_workspace")
        stopped = await ok(client, "stop_workspace", name="main")
        assert stopped == {"workspace": MAIN | {"state": "stopped"}, "ended_processes": 1}
        restarted = await ok(client, "stop_workspace", name="main", restart=True)
        assert restarted["workspace"] == MAIN
        assert await refused(client, "stop_workspace", name="api") == (
            "this chat has no workspace 'api'; it has: main. Call provision_workspace to make one."
        )
        assert "`name` is missing" in await refused(client, "stop_workspace")


@pytest.mark.parametrize("mode", MODES)
async def test_a_list_says_what_each_workspace_may_do(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        options = {"folder": "/srv/project", "access": "read_only", "network": "team", "secrets": {"T": "hunter2"}}
        await ok(client, "provision_workspace", options=options)
        for scope, made in core.made.items():
            core.made[scope] = {name: replace(each, notes=("paused on the engine",)) for name, each in made.items()}
        result = await call(client, "list_containers")
        assert result.structured_content is not None
        (found,) = result.structured_content["workspaces"]
        assert (found["access"], found["network"]) == ("read_only", "team")
        assert found["limits"] == "512 MiB of memory, 1 processor, 256 processes"
        assert found["notes"] == ["paused on the engine"]
        assert "/srv/project" not in text_of(result)
        assert "hunter2" not in text_of(result)


async def test_a_failure_of_the_core_reaches_the_model_as_it_is_worded() -> None:
    core = FakeCore()
    core.provision_fault = ImageNotFoundError("image 'nope' is not on the engine; docker pull nope, or build it")
    async with open_client(core) as client:
        assert await refused(client, "provision_workspace", image="nope") == (
            "image 'nope' is not on the engine; docker pull nope, or build it"
        )


@pytest.mark.parametrize("mode", MODES)
async def test_all_of_a_chat_is_stopped_or_removed_at_once(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        chat = (await ok(client, "provision_workspace", name="a", chat="new"))["chat"]
        await ok(client, "provision_workspace", name="b", chat=chat, volume=False)
        await ok(client, "provision_workspace", name="other")
        await ok(client, "start_process", command="x", workspace="a", chat=chat, wait_s=0)
        assert "only stops" in await refused(client, "stop_workspace", name="*", restart=True, chat=chat)
        stopped = await ok(client, "stop_workspace", name="*", chat=chat)
        assert stopped == {"ended_processes": 1, "note": "stopped: a, b"}
        removed = await ok(client, "remove_workspace", name="*", chat=chat)
        note = "removed: a, b; provision_workspace finds the data of a again"
        assert removed == {"workspace": "*", "state": "removed", "ended_processes": 0, "data": "kept", "note": note}
        removed = await ok(client, "remove_workspace", name="*", keep_data=False, chat=chat)
        assert (removed["data"], removed["note"]) == ("removed", "removed: none; the chat is forgotten")
        assert "you have no chat" in await refused(client, "list_containers", chat=chat)
        assert [each["name"] for each in (await ok(client, "list_containers"))["workspaces"]] == ["other"]


async def test_what_could_not_be_removed_is_said() -> None:
    core = FakeCore()
    core.close_failures = ("workspace 'a': the engine does not answer",)
    async with open_client(core) as client:
        removed = await ok(client, "remove_workspace", name="*")
        assert removed["state"] == "removing"
        assert "not done, call again: workspace 'a': the engine does not answer" in removed["note"]
