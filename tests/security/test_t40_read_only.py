"""T40, for reading only: what changes something is not offered and not done, whatever is granted."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.types import ListToolsResult
from support.denials import open_server
from support.edge_client import MODES, open_client
from support.fake_core import FakeCore
from support.policies import ALICE, BOB, everything, in_force

LOOKING = {"read_output", "list_processes", "list_containers"}
CHANGING: dict[str, dict[str, Any]] = {
    "provision_workspace": {},
    "start_process": {"command": "true"},
    "write_input": {"process_id": "p_x", "text": "y"},
    "signal_process": {"process_id": "p_x"},
    "workspace_files": {"action": "write", "path": "a", "content": "b"},
    "recreate_devcontainer": {"name": "app"},
    "stop_workspace": {"name": "main"},
    "remove_workspace": {"name": "main"},
}


@pytest.mark.parametrize("mode", MODES)
async def test_for_reading_only_tools_that_change_something_are_not_listed(mode: str) -> None:
    async with open_server(in_force(everything(), is_read_only=True), mode) as server:
        assert await server.tools() == LOOKING
    async with open_server(in_force(everything()), mode) as server:
        assert await server.tools() == LOOKING | CHANGING.keys()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tool", CHANGING)
async def test_they_are_refused_if_called_all_the_same(mode: str, tool: str) -> None:
    async with open_server(in_force(everything(), is_read_only=True), mode) as server:
        said = await server.denied(tool, "read_only", **CHANGING[tool])
        assert said == f"this server is for reading only: {tool} changes something, so it cannot be had"
        await server.allowed("list_containers")


@pytest.mark.parametrize("mode", MODES)
async def test_each_principal_sees_the_tools_that_they_may_call(mode: str) -> None:
    policy = in_force(everything(tools=("list_*", "start_process")), everything("bob", tools=("read_output",)))
    async with open_server(policy, mode, ALICE) as server:
        assert await server.tools() == {"list_processes", "list_containers", "start_process"}
        await server.denied("read_output", "grant 'alice': tools", process_id="p_x")
    async with open_server(policy, mode, BOB) as server:
        assert await server.tools() == {"read_output"}


@pytest.mark.parametrize("mode", MODES)
async def test_whom_no_grant_names_sees_and_has_nothing(mode: str) -> None:
    async with open_server(in_force(everything("bob")), mode) as server:
        assert await server.tools() == set()
        await server.denied("list_containers", "no grant")


@pytest.mark.parametrize(("is_granted", "scope"), [(True, "private"), (False, "public")])
async def test_a_list_that_depends_on_who_asks_is_kept_by_nobody_else(is_granted: bool, scope: str) -> None:
    def hint(listed: ListToolsResult) -> object:
        return listed.model_dump(by_alias=True).get("cacheScope")

    if is_granted:
        async with open_server(in_force(everything()), MODES[1]) as server:
            assert hint(await server.client.list_tools()) == scope
    else:
        async with open_client(FakeCore(), MODES[1]) as client:
            assert hint(await client.list_tools()) == scope
