"""T04: what the headers of a request say must be what its body says, or a proxy that reads headers is deceived."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from support.http_ground import HttpGround, Json, ask, modern, modern_headers, open_http_ground, record_for, token_for

from ws_mcp.edge.tasks import TASKS

CALL = modern("tools/call", name="provision_workspace", arguments={})
TRUE = modern_headers("tools/call", "provision_workspace")
LIES: list[dict[str, str]] = [
    {**TRUE, "Mcp-Name": "read_output"},
    {**TRUE, "Mcp-Method": "tools/list"},
    {**TRUE, "Mcp-Method": "TOOLS/CALL"},
    {**TRUE, "MCP-Protocol-Version": "2027-01-01"},
    {name: value for name, value in TRUE.items() if name != "Mcp-Name"},
    {name: value for name, value in TRUE.items() if name != "Mcp-Method"},
]


async def told(ground: HttpGround, message: Json, headers: dict[str, str]) -> Any:
    return await anyio.to_thread.run_sync(partial(ask, ground.url, message, token=token_for("alice"), **headers))


async def test_headers_that_differ_from_the_body_are_refused_and_nothing_is_done(tmp_path: Path, real_io: None) -> None:
    with anyio.fail_after(30):
        async with open_http_ground(tmp_path, record_for("alice")) as ground:
            for headers in LIES:
                reply = await told(ground, CALL, headers)
                assert reply.status == 400, headers
                assert reply.json["error"]["code"] in (-32020, -32022), headers
            assert (await told(ground, CALL, LIES[0])).json["error"]["code"] == -32020
            assert ground.core.specs == []
            assert (await told(ground, CALL, TRUE)).status == 200
            assert len(ground.core.specs) == 1


@pytest.mark.parametrize("body_version", ["2025-11-25", "2025-06-18"])
async def test_a_body_of_one_era_under_the_headers_of_the_other_is_refused(
    body_version: str, tmp_path: Path, real_io: None
) -> None:
    meta = {**CALL["params"]["_meta"], "io.modelcontextprotocol/protocolVersion": body_version}
    old = {**CALL, "params": {**CALL["params"], "_meta": meta}}
    with anyio.fail_after(30):
        async with open_http_ground(tmp_path, record_for("alice")) as ground:
            reply = await told(ground, old, TRUE)
            assert (reply.status, reply.json["error"]["code"]) == (400, -32020)
            assert ground.core.specs == []
            assert (await told(ground, CALL, TRUE)).status == 200


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
async def test_a_request_about_a_task_names_it_in_its_header(method: str, tmp_path: Path, real_io: None) -> None:
    message = modern(method, taskId="t_x", inputResponses={})
    message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = {"extensions": {TASKS: {}}}
    true = modern_headers(method, "t_x")
    with anyio.fail_after(30):
        async with open_http_ground(tmp_path, record_for("alice")) as ground:
            for headers in ({**true, "Mcp-Name": "t_y"}, {k: v for k, v in true.items() if k != "Mcp-Name"}):
                reply = await told(ground, message, headers)
                assert (reply.status, reply.json["error"]["code"]) == (400, -32020)
            reply = await told(ground, message, true)
            assert reply.json["error"]["code"] == -32602
