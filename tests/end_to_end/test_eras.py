"""Both protocol eras, over stdio and HTTP, get the same server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import anyio
import pytest
from mcp import Client
from mcp.types import TextResourceContents
from support.instances import IMAGE, Instance
from support.peers import MODES, Json, page_of, text_of
from support.server_process import open_http

VERSIONS = {"legacy": "2025-11-25", "auto": "2026-07-28"}


@asynccontextmanager
async def open_client(instance: Instance, transport: str, mode: str) -> AsyncGenerator[Client]:
    """A client of the era on a server with the transport."""
    if transport == "stdio":
        async with instance.open_peer(mode=mode) as peer:
            yield peer.client
    else:
        with open_http(instance.state, "--image", IMAGE) as server:
            async with server.client(mode) as client:
                yield client


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_the_main_job_works(instance: Instance, transport: str, mode: str) -> None:
    with anyio.fail_after(75):
        async with open_client(instance, transport, mode) as client:
            assert client.protocol_version == VERSIONS[mode]
            made = await structured(client, "provision_workspace")
            chat = made["chat"]
            started = await structured(client, "start_process", command="echo hi; exec cat", keep_stdin=True, chat=chat)
            process = started["process_id"]
            assert (started["state"], started["output"]) == ("running", "hi\n")
            await structured(client, "write_input", process_id=process, text="there\n", close=True, chat=chat)
            arguments = {"process_id": process, "wait_for": "exit", "chat": chat}
            page = page_of(text_of(await client.call_tool("read_output", arguments)))
            assert page.output == "hi\nthere\n"
            assert "exited 0" in page.status
            listing = await resource(client, f"ws://chats/{chat}/processes")
            assert str(process) in listing
            assert "hi\nthere\n" in await resource(client, f"ws://chats/{chat}/processes/{process}/output")
            await structured(client, "remove_workspace", name="main", keep_data=False, chat=chat)


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_chat_is_the_same_in_both_eras(instance: Instance, transport: str) -> None:
    with anyio.fail_after(75):
        async with open_client(instance, transport, "legacy") as client:
            chat = (await structured(client, "provision_workspace", chat="new"))["chat"]
            started = await structured(client, "start_process", command="exec sleep 60", wait_s=0, chat=chat)
        async with open_client(instance, transport, "auto") as client:
            listing = await structured(client, "list_processes", chat=chat)
            (process,) = cast("list[Json]", listing["processes"])
            assert (process["process_id"], process["state"]) == (started["process_id"], "running")


async def structured(client: Client, tool: str, **arguments: object) -> Json:
    """The structured answer of a call that must succeed."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return cast("Json", result.structured_content)


async def resource(client: Client, uri: str) -> str:
    """The text of a resource."""
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text
