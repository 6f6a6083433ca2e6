"""Chats over a real server: named by a header where the operator says so, closed by a call and on the command line."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from support.edge_client import ok, resource
from support.instances import Instance
from support.peers import MODES, text_of
from support.server_process import HttpServer, open_http

from ws_mcp.cli import run

HEADER = "X-Chat-Id"


@asynccontextmanager
async def saying(server: HttpServer, mode: str, **headers: str) -> AsyncGenerator[Client]:
    """A client that sends these headers with everything."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named["Authorization"] = f"Bearer {server.token}"
    async with (
        httpx2.AsyncClient(headers=named, timeout=60) as http,
        Client(streamable_http_client(server.url, http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.mark.usefixtures("real_io")
@pytest.mark.parametrize("mode", MODES)
async def test_a_header_names_the_conversation_where_the_operator_says_so(tmp_path: Path, mode: str) -> None:
    with anyio.fail_after(110), open_http(tmp_path / "state", "--engine", "none", "--chat-header", HEADER) as server:

        async def chat_of(**headers: str) -> str:
            async with saying(server, mode, **headers) as client:
                return str((await ok(client, "list_containers"))["chat"])

        one, again, two = await chat_of(X_Chat_Id="one"), await chat_of(x_chat_id="one"), await chat_of(X_Chat_Id="two")
        assert one == again != two
        async with saying(server, mode) as client:
            unsaid = await client.call_tool("list_containers", {})
            assert "call provision_workspace first" in text_of(unsaid)
        async with saying(server, mode, X_Chat_Id="x" * 300) as client:
            unread = await client.call_tool("list_containers", {})
            assert "'X-Chat-Id' cannot be read" in text_of(unread)
    with anyio.fail_after(110), open_http(tmp_path / "state", "--engine", "none") as server:
        async with saying(server, mode, X_Chat_Id="one") as client:
            assert (await client.call_tool("list_containers", {})).is_error  # not unless it was said


@pytest.mark.usefixtures("real_io")
async def test_http_has_quotas_without_being_asked(tmp_path: Path) -> None:
    with anyio.fail_after(110), open_http(tmp_path / "state", "--engine", "none", "--chat-header", HEADER) as server:
        async with saying(server, MODES[1], X_Chat_Id="one") as client:
            await ok(client, "provision_workspace", kind="local")
            process = (await ok(client, "start_process", command="sleep 600", wait_s=0))["process_id"]
            refusals: list[str] = []

            async def wait() -> None:
                answer = await client.call_tool("read_output", {"process_id": process, "wait_for": "exit", "wait_s": 8})
                refusals.extend([text_of(answer)] if answer.is_error else [])

            async with anyio.create_task_group() as tasks:
                for _ in range(9):
                    tasks.start_soon(wait)
            assert len(refusals) == 1
            assert "the limit `calls_at_once` is 8 for one chat" in refusals[0]
            await ok(client, "remove_workspace", name="*", keep_data=False)


async def test_a_chat_is_closed_with_all_that_it_has_on_the_engine(instance: Instance) -> None:
    with anyio.fail_after(110):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace", name="stays")
            chat = str((await peer.ok("provision_workspace", name="one", chat="new"))["chat"])
            await peer.ok("provision_workspace", name="two", tier=1, chat=chat)
            await peer.start("sleep 600", workspace="one", wait_s=0, chat=chat)
            listed = await resource(peer.client, "ws://chats")
            assert '"workspaces":2,"running":1' in listed
            stopped = await peer.ok("stop_workspace", name="*", chat=chat)
            assert (stopped["ended_processes"], stopped["note"]) == (1, "stopped: one, two")
            kept = await peer.ok("remove_workspace", name="*", chat=chat)
            assert kept["data"] == "kept"
            assert "finds the data of one" in str(kept["note"])
            gone = await peer.ok("remove_workspace", name="*", keep_data=False, chat=chat)
            assert "the chat is forgotten" in str(gone["note"])
            assert "you have no chat" in await peer.refused("list_containers", chat=chat)
            assert len(instance.containers) == 1
            assert len([each for each in instance.volumes if "execd" not in each]) == 1
            assert [*await peer.workspaces()] == ["stays"]


async def test_a_person_lists_and_closes_chats(instance: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    state = ("--state", str(instance.state))
    with anyio.fail_after(110):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace", name="one", chat="new")
            await peer.start("sleep 600", chat=str((await peer.ok("provision_workspace"))["chat"]), wait_s=0)

            def said(*arguments: str) -> str:
                assert run(["chats", *arguments, *state]) == 0
                return capsys.readouterr().out

            lines = (await anyio.to_thread.run_sync(said)).splitlines()
            assert len(lines) == 3
            (made,) = [line for line in lines if line.endswith("one")]
            shown = await anyio.to_thread.run_sync(said, "close", made.split()[0], "--data")
            assert "0 processes ended, workspaces removed: one" in shown
            assert "is forgotten" in shown
            (left,) = (await anyio.to_thread.run_sync(said)).splitlines()[1:]
            shown = await anyio.to_thread.run_sync(said, "close", left.split()[0], "--stop")
            assert "1 processes ended, workspaces stopped: main" in shown
            assert [each["state"] for each in (await peer.workspaces()).values()] == ["stopped"]
            assert await anyio.to_thread.run_sync(run, ["chats", "close", "ffff", *state]) == 1
            assert "there is no such chat" in capsys.readouterr().err
