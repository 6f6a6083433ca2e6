"""The life of a workspace on real engines: made once, stopped, started, removed; and what only looks like one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import anyio
import anyio.to_thread
import pytest
from mcp import MCPError
from support.instances import IMAGE, Instance
from support.peers import Json, Peer, until
from support.tier_probe import output_of

from ws_mcp.core.workspaces.naming import PREFIX, WORKSPACE


def container_of(instance: Instance, workspace: str) -> str:
    having = f"label={WORKSPACE}={workspace}"
    (name,) = instance.docker("ps", "--all", "--filter", having, "--format", "{{.Names}}").split()
    return name


def everything(instance: Instance) -> tuple[list[str], ...]:
    """All that an instance has, the ids of its containers included."""
    ids = [instance.docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", c) for c in instance.containers]
    return ids, sorted(instance.volumes), sorted(instance.networks)


async def test_a_workspace_is_made_used_stopped_started_removed_and_found_again(each_instance: Instance) -> None:
    with anyio.fail_after(100):
        async with each_instance.open_peer() as peer:
            wish: Json = {"env": {"GREETING": "hello"}, "options": {"files": {"conf/app.toml": "x = 1\n"}}}
            made = await peer.ok("provision_workspace", **wish)
            assert made["change"] == "created"
            seen = "echo $GREETING $WS_MCP_WORKSPACE $WS_MCP_TIER; cat $WS_MCP_CONFIG_PATH/conf/app.toml; pwd"
            assert await output_of(peer, seen) == "hello main 2\nx = 1\n/workspace"
            await output_of(peer, "echo kept > file")
            process = await peer.start("exec sleep 600", wait_s=0)

            stopped = await peer.ok("stop_workspace", name="main")
            assert stopped["ended_processes"] == 1
            assert (await peer.workspaces())["main"]["state"] == "stopped"
            assert "provision_workspace" in await peer.refused("start_process", command="true")
            assert (await peer.processes())[process]["state"] == "lost"
            assert (await peer.ok("provision_workspace"))["change"] == "started"
            await peer.ok("stop_workspace", name="main", restart=True)
            assert await output_of(peer, "cat file") == "kept"

            removed = await peer.ok("remove_workspace", name="main")
            assert (removed["state"], removed["data"]) == ("removed", "kept")
            assert (each_instance.containers, each_instance.networks) == ([], [])
            assert await peer.workspaces() == {}
            await peer.ok("provision_workspace")
            assert await output_of(peer, "cat file; ls /configs 2>/dev/null | wc -l") == "kept\n0"
            removed = await peer.ok("remove_workspace", name="main", keep_data=False)
            assert removed["data"] == "removed"
            assert [volume for volume in each_instance.volumes if "-execd-" not in volume] == []
            await peer.refused("remove_workspace", name="main")
            await peer.ok("provision_workspace")
            assert await output_of(peer, "ls") == ""


async def test_names_that_share_their_first_40_characters_are_different_workspaces(instance: Instance) -> None:
    names = [f"{'a' * 40}{end}" for end in ("", "1", "2")]
    with anyio.fail_after(90):
        async with instance.open_peer() as peer:
            for name in names:
                await peer.ok("provision_workspace", name=name)
                await output_of(peer, f"test -e file || echo {name} > file", name)
            assert len(instance.containers) == len(instance.networks) == len(names)
            assert [await output_of(peer, "cat file", name) for name in names] == names
            await peer.ok("remove_workspace", name=names[0], keep_data=False)
            assert set(await peer.workspaces()) == set(names[1:])
            assert [await output_of(peer, "cat file", name) for name in names[1:]] == names[1:]


async def test_a_dry_run_says_what_would_be_done_and_changes_nothing(instance: Instance) -> None:
    wish: Json = {"env": {"A": "canary-a"}, "options": {"files": {"f": "1"}, "secrets": {"s": "canary-s"}}}

    def dry(more: Json) -> Json:
        return {**more, "options": {**cast("Json", more["options"]), "dry_run": True}}

    with anyio.fail_after(90):
        async with instance.open_peer() as peer:
            answer = await peer.ok("provision_workspace", **dry(wish))
            assert answer["change"] == "created"
            assert answer.get("workspace") is None
            request = cast("Json", answer["request"])
            assert request["Image"] == IMAGE
            assert cast("Json", request["HostConfig"])["PidsLimit"] == 256
            assert "canary" not in json.dumps(answer)
            assert everything(instance) == ([], [], [])

            await peer.ok("provision_workspace", **wish)
            process = await peer.start("exec sleep 600", wait_s=0)
            before = everything(instance)
            assert (await peer.ok("provision_workspace", **dry(wish)))["change"] == "none"
            changed: Json = {"env": {"A": "canary-b"}, "options": {"replace": "always"}}
            answer = await peer.ok("provision_workspace", **dry(changed))
            assert (answer["change"], answer["reasons"]) == ("recreated", ["environment changed"])
            assert everything(instance) == before
            assert (await peer.processes())[process]["state"] == "running"


async def test_eight_equal_calls_at_once_make_one_workspace(instance: Instance) -> None:
    answers: list[Json] = []
    with anyio.fail_after(90):
        async with instance.open_peer() as peer:

            async def ask() -> None:
                answers.append(await peer.ok("provision_workspace", env={"A": "1"}))

            async with anyio.create_task_group() as tasks:
                for _ in range(8):
                    tasks.start_soon(ask)
            assert {str(answer["change"]) for answer in answers} <= {"created", "none"}
            assert [answer["change"] for answer in answers].count("none") < len(answers)
            assert len(instance.containers) == len(instance.networks) == 1


async def test_a_request_key_stands_for_one_request_over_a_killed_server(instance: Instance) -> None:
    wish: Json = {"env": {"A": "1"}, "options": {"request_key": "setup-1"}}
    with anyio.fail_after(90):
        async with instance.open_peer() as victim, anyio.create_task_group() as tasks:

            async def ask_in_vain() -> None:
                with pytest.raises(MCPError):  # the connection ends with the server
                    await victim.call("provision_workspace", **wish)

            tasks.start_soon(ask_in_vain)
            await until(lambda: anyio.to_thread.run_sync(lambda: instance.containers))
            await victim.kill()
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace", **wish)
            assert len(instance.containers) == len(instance.networks) == 1
            assert await output_of(peer, "echo $A") == "1"
            before = everything(instance)
            assert (await peer.ok("provision_workspace", **wish))["change"] == "none"
            other: Json = {**wish, "env": {"A": "2"}}
            assert "'setup-1' was used for another request" in await peer.refused("provision_workspace", **other)
            assert everything(instance) == before


async def test_somebody_elses_volume_of_our_name_is_refused_and_left(instance: Instance, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "theirs").write_text("x")
    with anyio.fail_after(90):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace")
            volume = f"{instance.container}-data"
            labels = cast("dict[str, str]", json.loads(instance.docker("volume", "inspect", volume))[0]["Labels"])
            await peer.ok("remove_workspace", name="main", keep_data=False)
            leading_out = ("--opt", "type=none", "--opt", "o=bind", "--opt", f"device={outside}")
            copied = [f"--label={name}={value}" for name, value in labels.items()]
            for options in ((), leading_out, (*leading_out, *copied)):
                instance.docker("volume", "create", *options, volume)
                try:
                    refusal = await peer.refused("provision_workspace")
                    assert "that this ws-mcp did not make" in refusal
                    assert (instance.containers, instance.networks) == ([], [])
                    assert volume in instance.docker("volume", "ls", "--quiet").split()
                finally:
                    instance.docker("volume", "rm", volume)
            assert [entry.name for entry in outside.iterdir()] == ["theirs"]
            assert (await peer.ok("provision_workspace"))["change"] == "created"


async def test_a_container_that_carries_our_labels_is_not_ours(instance: Instance) -> None:
    with anyio.fail_after(90):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace")
            own = instance.container
            found = cast("list[dict[str, dict[str, dict[str, str]]]]", json.loads(instance.docker("inspect", own)))
            labels = [f"--label={k}={v}" for k, v in found[0]["Config"]["Labels"].items() if k.startswith(PREFIX)]
            # The first has a name of its own, the second that which a short id of ours would be.
            twins = [f"{own}x", instance.docker("inspect", "--format", "{{.Id}}", own)[:12]]
            for twin in twins:
                instance.docker("run", "--detach", "--name", twin, *labels, IMAGE, "sleep", "600")
            try:
                await check_left_alone(instance, peer, own, twins)
            finally:
                instance.docker("rm", "--force", *twins)

            # And one that took the name of ours when that was gone.
            instance.docker("run", "--detach", "--name", own, IMAGE, "sleep", "600")
            try:
                assert await peer.workspaces() == {}
                assert "that this ws-mcp did not make" in await peer.refused("provision_workspace")
                await peer.refused("start_process", command="true")
                await peer.refused("remove_workspace", name="main")
                assert instance.docker("inspect", "--format", "{{.State.Running}}", own).strip() == "true"
            finally:
                instance.docker("rm", "--force", own)


async def check_left_alone(instance: Instance, peer: Peer, own: str, twins: list[str]) -> None:
    """That containers with copied labels are neither listed nor entered nor removed with ours."""
    assert len(await peer.workspaces()) == 1
    assert await output_of(peer, "hostname") == instance.docker("exec", own, "hostname").strip()
    assert (await peer.ok("provision_workspace"))["change"] == "none"
    await peer.ok("provision_workspace", env={"A": "1"})
    await peer.ok("remove_workspace", name="main", keep_data=False)
    assert await peer.workspaces() == {}
    for twin in twins:
        assert instance.docker("inspect", "--format", "{{.State.Running}}", twin).strip() == "true"
        assert "sleep" in instance.docker("top", twin)
        assert "execd" not in instance.docker("top", twin)


@pytest.mark.slow
async def test_a_workspace_in_which_nothing_goes_on_is_stopped_and_a_busy_one_is_not(instance: Instance) -> None:
    with anyio.fail_after(90):
        async with instance.open_peer() as peer:
            for name in ("idle", "busy"):
                await peer.ok("provision_workspace", name=name, options={"idle_stop_s": 1})
            await output_of(peer, "echo kept > file", "idle")
            process = await peer.start("exec sleep 600", workspace="busy", wait_s=0)

            async def is_stopped() -> bool:
                return (await peer.workspaces())["idle"]["state"] == "stopped"

            await until(is_stopped)
            assert (await peer.workspaces())["busy"]["state"] == "running"
            assert (await peer.processes())[process]["state"] == "running"
            assert (await peer.ok("provision_workspace", name="idle", options={"idle_stop_s": 0}))[
                "change"
            ] == "started"
            assert await output_of(peer, "cat file", "idle") == "kept"
