"""Resources through a client: the same scope as the tools, in both eras."""

from __future__ import annotations

import json

import pytest
from mcp import Client, MCPError
from mcp.types import BlobResourceContents, CallToolResult, ResourceLink
from support.edge_client import MODES, ok, open_client, resource
from support.fake_core import DEV, FakeCore, FakeProcess

from ws_mcp.core.devcontainers.build_logs import BuildLog
from ws_mcp.core.errors import EngineUnavailableError
from ws_mcp.core.ids import PrincipalId
from ws_mcp.core.job import StillRunning
from ws_mcp.core.processes.model import Stream

OUTPUT = b"\x1b[31mred\x1b[0m \xe2\x82\xac\xff\n"


def script(process: FakeProcess) -> None:
    process.write(OUTPUT)
    process.end()


async def started(client: Client) -> tuple[str, str]:
    chat = (await ok(client, "provision_workspace"))["chat"]
    return chat, (await ok(client, "start_process", command="x"))["process_id"]


def links_of(result: CallToolResult) -> list[str]:
    return [str(block.uri) for block in result.content if isinstance(block, ResourceLink)]


async def error_of(client: Client, uri: str) -> tuple[int, str]:
    with pytest.raises(MCPError) as caught:
        await client.read_resource(uri)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize("mode", MODES)
async def test_what_a_chat_has_is_listed_and_its_templates_are_there(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        chat = (await ok(client, "provision_workspace"))["chat"]
        listed = (await client.list_resources()).resources
        assert [(r.uri, r.mime_type) for r in listed] == [
            ("ui://ws/chat.html", "text/html;profile=mcp-app"),
            ("ws://containers", "application/json"),
            ("ws://chats", "application/json"),
            ("ws://devcontainers", "application/json"),
            (f"ws://chats/{chat}/processes", "application/json"),
        ]
        templates = (await client.list_resource_templates()).resource_templates
        assert {t.uri_template: t.mime_type for t in templates} == {
            "ws://chats/{chat}/containers": "application/json",
            "ws://chats/{chat}/containers/{workspace}": "application/json",
            "ws://chats/{chat}/processes": "application/json",
            "ws://chats/{chat}/processes/{process}": "application/json",
            "ws://chats/{chat}/processes/{process}/output{?offset,tail,stream,raw}": "text/plain",
            "ws://devcontainers/{name}": "application/json",
            "ws://devcontainers/{name}/log": "text/plain",
        }
        assert all(r.title and r.description for r in (*listed, *templates))


@pytest.mark.parametrize("mode", MODES)
async def test_without_a_chat_only_what_all_have_is_listed(mode: str) -> None:
    async with open_client(FakeCore(), mode, hint=None) as client:
        assert [r.uri for r in (await client.list_resources()).resources] == [
            "ui://ws/chat.html",
            "ws://containers",
            "ws://chats",
            "ws://devcontainers",
        ]
        code, text = await error_of(client, "ws://containers")
        assert (code, "call provision_workspace first" in text) == (-32602, True)


@pytest.mark.parametrize("mode", MODES)
async def test_lists_say_the_same_as_the_tools(mode: str) -> None:
    async with open_client(FakeCore(script=script), mode) as client:
        chat, _ = await started(client)
        processes = json.loads(await resource(client, f"ws://chats/{chat}/processes"))
        assert processes == await ok(client, "list_processes")
        containers = await ok(client, "list_containers")
        assert json.loads(await resource(client, "ws://containers")) == containers
        assert json.loads(await resource(client, f"ws://chats/{chat}/containers")) == containers


@pytest.mark.parametrize("mode", MODES)
async def test_each_thing_of_a_list_has_an_address_that_says_the_same(mode: str) -> None:
    core = FakeCore(script=script)
    core.devcontainers.there = {DEV.name: DEV}
    async with open_client(core, mode) as client:
        chat, process = await started(client)
        (listed,) = (await ok(client, "list_processes"))["processes"]
        assert json.loads(await resource(client, f"ws://chats/{chat}/processes/{process}")) == listed
        containers = await ok(client, "list_containers")
        assert json.loads(await resource(client, f"ws://chats/{chat}/containers/main")) == containers["workspaces"][0]
        assert json.loads(await resource(client, f"ws://devcontainers/{DEV.name}")) == containers["devcontainers"][0]
        for uri in ("containers/other", "processes/p_9"):
            code, text = await error_of(client, f"ws://chats/{chat}/{uri}")
            assert (code, f"{uri.partition('/')[2]!r}" in text) == (-32602, True)
        code, text = await error_of(client, "ws://devcontainers/none")
        assert (code, f"no dev container 'none'; it has: {DEV.name}" in text) == (-32602, True)


@pytest.mark.parametrize("mode", MODES)
async def test_what_cannot_be_looked_for_is_not_said_to_be_missing(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        chat = (await ok(client, "provision_workspace"))["chat"]
        core.unknown = core.devcontainers.unknown = "the engine does not answer"
        for uri in (f"ws://chats/{chat}/containers/other", "ws://devcontainers/app"):
            code, text = await error_of(client, uri)
            assert (code, text.endswith("is not known now: the engine does not answer")) == (-32603, True)


@pytest.mark.parametrize("mode", MODES)
async def test_what_was_said_while_a_dev_container_was_made_can_be_read_on(mode: str) -> None:
    core = FakeCore()
    core.devcontainers.there = {DEV.name: DEV}
    async with open_client(core, mode) as client:
        code, _ = await error_of(client, f"ws://devcontainers/{DEV.name}/log")
        assert code == -32602
        core.devcontainers.logs[DEV.name] = BuildLog(lines=("== building", "step 1\u202e", "<done>"), dropped=3)
        said = await resource(client, f"ws://devcontainers/{DEV.name}/log")
        assert said == "[3 lines before these are no longer kept]\n== building\nstep 1\n<done>\n"


@pytest.mark.parametrize("mode", MODES)
async def test_results_link_to_where_a_person_can_look_on(mode: str) -> None:
    core = FakeCore()
    core.devcontainers.there = {DEV.name: DEV}
    async with open_client(core, mode) as client:
        chat = (await ok(client, "provision_workspace"))["chat"]
        running = await client.call_tool("start_process", {"command": "x"})
        assert running.structured_content is not None
        process = running.structured_content["process_id"]
        assert links_of(running) == [f"ws://chats/{chat}/processes/{process}/output"]
        assert links_of(await client.call_tool("recreate_devcontainer", {"name": DEV.name, "dry_run": True})) == []
        log = f"ws://devcontainers/{DEV.name}/log"
        assert links_of(await client.call_tool("recreate_devcontainer", {"name": DEV.name})) == [log]
        core.devcontainers.pending = StillRunning(phase="building", fraction=0.5, elapsed_s=45)
        for target in ({"name": DEV.name}, {"folder": DEV.key.folder}):
            assert links_of(await client.call_tool("recreate_devcontainer", target)) == [log]
    async with open_client(FakeCore(script=script), mode) as client:
        await ok(client, "provision_workspace")
        assert links_of(await client.call_tool("start_process", {"command": "x"})) == []  # it has ended: all is there


@pytest.mark.parametrize("mode", MODES)
async def test_output_is_text_and_on_request_the_very_bytes(mode: str) -> None:
    async with open_client(FakeCore(script=script), mode) as client:
        chat, process = await started(client)
        uri = f"ws://chats/{chat}/processes/{process}/output"
        assert await resource(client, uri) == "red €\ufffd\n"
        assert await resource(client, f"{uri}?offset=12") == " €\ufffd\n"
        assert await resource(client, f"{uri}?tail=4") == "\ufffd\n"
        (content,) = (await client.read_resource(f"{uri}?raw=true")).contents
        assert isinstance(content, BlobResourceContents)
        assert content.blob == "G1szMW1yZWQbWzBtIOKCrP8K"


@pytest.mark.parametrize("mode", MODES)
async def test_a_separate_stderr_has_an_address_of_its_own(mode: str) -> None:
    def both(process: FakeProcess) -> None:
        process.write(b"out")
        process.write(b"err", Stream.ERR)
        process.end()

    async with open_client(FakeCore(script=both), mode) as client:
        chat = (await ok(client, "provision_workspace"))["chat"]
        process = (await ok(client, "start_process", command="x", separate_stderr=True))["process_id"]
        assert await resource(client, f"ws://chats/{chat}/processes/{process}/output?stream=stderr") == "err"
        client_process = f"ws://chats/{chat}/processes/{process}/output"
        assert await resource(client, client_process) == "out"


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_left_of_a_forgotten_process_can_be_read(mode: str) -> None:
    core = FakeCore(script=script)
    async with open_client(core, mode) as client:
        chat, process = await started(client)
        core.process(process).receipt("the end")
        assert await resource(client, f"ws://chats/{chat}/processes/{process}/output") == "the end"


@pytest.mark.parametrize("mode", MODES)
async def test_unknown_and_foreign_are_the_same_error(mode: str) -> None:
    core = FakeCore(script=script)
    async with open_client(core, mode) as client:
        chat, process = await started(client)
        unknown = await error_of(client, f"ws://chats/{chat}/processes/p_9/output")
        assert (unknown[0], "no process 'p_9'" in unknown[1]) == (-32602, True)
    async with open_client(core, mode, principal=PrincipalId("local:2000")) as client:
        for part in (
            "containers",
            "containers/main",
            "processes",
            f"processes/{process}",
            f"processes/{process}/output",
        ):
            foreign = await error_of(client, f"ws://chats/{chat}/{part}")
            assert foreign == await error_of(client, f"ws://chats/c_none/{part}")
            assert foreign[0] == -32602


@pytest.mark.parametrize("mode", MODES)
async def test_a_core_that_cannot_answer_is_an_error_that_says_why(mode: str) -> None:
    core = FakeCore(script=script)
    async with open_client(core, mode) as client:
        chat, process = await started(client)
        core.read_fault = EngineUnavailableError("no container engine answers")
        code, text = await error_of(client, f"ws://chats/{chat}/processes/{process}/output")
        assert (code, text) == (-32603, "no container engine answers")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tail", ["?offset=-1", "?offset=x", "?offset=²", "?tail=1e3", "?stream=both", "?raw=perhaps"])
async def test_a_bad_query_says_what_is_wrong_with_it(mode: str, tail: str) -> None:
    async with open_client(FakeCore(script=script), mode) as client:
        chat, process = await started(client)
        code, text = await error_of(client, f"ws://chats/{chat}/processes/{process}/output{tail}")
        assert code == -32602
        assert text.startswith(f"{tail[1:].partition('=')[0]} in the address ")


async def test_results_of_chats_are_for_their_own_caches_only() -> None:
    async with open_client(FakeCore(script=script), MODES[1]) as client:
        chat, _ = await started(client)
        for answer in (
            await client.list_resources(),
            await client.read_resource("ws://containers"),
            await client.read_resource(f"ws://chats/{chat}/processes"),
        ):
            assert (answer.cache_scope, answer.ttl_ms) == ("private", 0)
        assert (await client.list_tools()).cache_scope == "public"
