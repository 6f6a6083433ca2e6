"""Every call of every tool ends by its deadline and 2 seconds, whatever hangs below it, and nothing is half-made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest
from support.edge_client import call, ok, text_of
from support.hung_ground import HungGround, open_hung

from ws_mcp.core.workspaces import naming
from ws_mcp.edge.deadlines import LONGEST_S
from ws_mcp.policy import tool_specs

pytestmark = pytest.mark.usefixtures("virtual_time")

SLACK_S = 2.0
SPECS = {getattr(spec.function, "__name__", ""): spec for spec in tool_specs()}
CALLS: dict[str, dict[str, object]] = {
    "provision_workspace": {"env": {"NEW": "1"}},
    "start_process": {"command": "sleep 600", "wait_s": 3},
    "read_output": {"wait_for": "exit", "wait_s": 30},
    "list_processes": {},
    "write_input": {"text": "x"},
    "signal_process": {"signal": "TERM", "grace_s": 4},
    "list_containers": {},
    "workspace_files": {"action": "write", "path": "f", "content": "x"},
    "recreate_devcontainer": {"name": "app", "wait_s": 45},
    "stop_workspace": {"name": "main"},
    "remove_workspace": {"name": "main"},
}
OF_A_PROCESS = ("read_output", "write_input", "signal_process")
# What stands in the way has to be said, by whoever gives up first. Other tools may answer all the same.
SAID: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "engine": ("engine", ("stop_workspace", "remove_workspace", "provision_workspace")),
    "execd": ("answer", ("start_process", "write_input", "signal_process", "workspace_files")),
    "lock": ("at work on the same thing", ("stop_workspace", "remove_workspace")),
    "state": ("state", ("provision_workspace", "stop_workspace")),
}


def test_each_tool_is_tried_here_and_none_takes_longer_than_hosts_wait() -> None:
    assert CALLS.keys() == SPECS.keys()
    for name, spec in SPECS.items():
        assert spec.deadline.of({}) <= LONGEST_S
        assert spec.deadline.of({"wait_s": 45.0, "grace_s": 45.0}) <= LONGEST_S, name


async def _check_ends(ground: HungGround, tool: str, process: object, what: str) -> None:
    arguments = CALLS[tool] | ({"process_id": process} if tool in OF_A_PROCESS else {})
    began = anyio.current_time()
    result = await call(ground.client, tool, **arguments)
    took_s = anyio.current_time() - began
    assert took_s <= SPECS[tool].deadline.of(arguments) + SLACK_S, (tool, took_s, text_of(result))
    words, tools = SAID[what]
    if tool in tools and '"change":"working"' not in text_of(result):  # a job says where it is, and goes on
        assert words in text_of(result), (tool, text_of(result))
        assert result.is_error, (tool, text_of(result))


async def _check_whole(ground: HungGround) -> None:
    """What was given up comes to its end; then there is one workspace, or none, and the next one is whole."""
    await anyio.sleep(120)
    made = await ok(ground.client, "provision_workspace", options={"replace": "always"})
    assert made["workspace"]["state"] == "running"
    assert [each.spec.name for each in ground.engine.containers.values() if naming.KIND in each.spec.labels] == [
        ground.place
    ]
    assert "process_id" in await ok(ground.client, "start_process", command="sleep 600", wait_s=0)


@pytest.mark.parametrize("what", SAID)
async def test_no_call_takes_longer_than_its_deadline_and_2_s(tmp_path: Path, what: str) -> None:
    async with open_hung(tmp_path) as ground:
        await ok(ground.client, "provision_workspace")
        started = await ok(ground.client, "start_process", command="sleep 600", wait_s=0, keep_stdin=True)
        async with ground.hanging(what):
            for tool in CALLS:
                await _check_ends(ground, tool, started["process_id"], what)
        await _check_whole(ground)


@pytest.mark.parametrize("tool", ["stop_workspace", "remove_workspace"])
@pytest.mark.parametrize("what", ["engine", "lock"])
async def test_a_call_that_was_given_up_has_its_whole_effect_or_none(tmp_path: Path, what: str, tool: str) -> None:
    async with open_hung(tmp_path) as ground:
        await ok(ground.client, "provision_workspace")
        async with ground.hanging(what):
            await _check_ends(ground, tool, "", what)
        await anyio.sleep(120)
        listed = await ok(ground.client, "list_containers")
        assert [each["state"] for each in listed["workspaces"]] in (["running"], ["stopped"], [])
        await _check_whole(ground)
