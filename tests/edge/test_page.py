"""The page as a file, as an MCP App, and as what a browser gets: small, closed, and for everybody the same."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from mcp import MCPError
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp.types import TextResourceContents
from support.denials import open_server
from support.edge_client import MODES, open_client
from support.fake_core import FakeCore
from support.http_ground import Reply, ask, open_http_ground, record_for
from support.policies import BOB, everything, in_force

from ws_mcp.edge.page import URI, page

MAX_BYTES = 60_000
MAX_PICTURES_BYTES = 150_000
RUNS_TEXT = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "setAttribute('on")
LOADS = (r"\ssrc=", r"<link", r"@import", r"url\(", r"import\(", r"\sstyle=", r"\son[a-z]+=", r"<meta http-equiv")


def test_the_pictures_of_the_documents_are_small() -> None:
    pictures = list((Path(__file__).parents[2] / "docs" / "pictures").iterdir())
    assert 0 < sum(picture.stat().st_size for picture in pictures) < MAX_PICTURES_BYTES


def test_the_page_is_one_small_file_that_loads_nothing_and_runs_no_text() -> None:
    text = page()
    assert len(text.encode()) < MAX_BYTES
    assert [word for word in RUNS_TEXT if word in text] == []
    assert [mark for mark in LOADS if re.search(mark, text)] == []
    assert not re.search(r"https?://(?!`)\w", text)
    assert text.count("<script>") == text.count("<style>") == 1


@pytest.mark.parametrize("mode", MODES)
async def test_hosts_are_told_of_the_page_and_get_it(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        tools = (await client.list_tools()).tools
        shown = {tool.name for tool in tools if ((tool.meta or {}).get("ui") or {}).get("resourceUri") == URI}
        assert shown == {"list_processes", "list_containers"}
        (content,) = (await client.read_resource(URI)).contents
        assert isinstance(content, TextResourceContents)
        assert (content.mime_type, content.text) == (APP_MIME_TYPE, page())
        for unknown in ("ui://ws/other.html", f"{URI}/", f"{URI} ws://containers", "ui://ws/"):
            with pytest.raises(MCPError) as caught:
                await client.read_resource(unknown)
            assert caught.value.code == -32602


async def test_the_newer_era_is_told_that_there_is_a_page() -> None:
    async with open_client(FakeCore(), "auto") as client:  # the older one has no word for it
        await client.list_tools()
        assert client.server_capabilities is not None
        assert (client.server_capabilities.extensions or {})[EXTENSION_ID] == {}


@pytest.mark.parametrize("mode", MODES)
async def test_whoever_is_granted_anything_gets_the_page_and_nobody_else(mode: str) -> None:
    policy = in_force(everything(tools=("read_output",)))
    async with open_server(policy, mode) as server:
        assert (await server.client.read_resource(URI)).contents
        assert ("resources/read", URI, "grant 'alice'") in server.journal.lines
        with pytest.raises(MCPError, match="does not give you list_containers"):
            await server.client.read_resource("ws://containers")
    async with open_server(policy, mode, BOB) as server:
        with pytest.raises(MCPError, match="no grant for you"):
            await server.client.read_resource(URI)


async def test_a_browser_gets_it_without_a_token_and_with_headers_that_close_it(tmp_path: Path, real_io: None) -> None:
    async def told(url: str, method: str) -> Reply:
        return await anyio.to_thread.run_sync(partial(ask, url, b"", method=method))

    with anyio.fail_after(30):
        async with open_http_ground(tmp_path, record_for("alice")) as ground:
            root = ground.url.removesuffix("mcp")
            reply, head = await told(root, "GET"), await told(root, "HEAD")
            assert (reply.status, reply.body.decode()) == (200, page())
            assert (head.status, head.body, head.headers["content-length"]) == (
                200,
                b"",
                reply.headers["content-length"],
            )
            assert ground.core.chats_by == {}
    said = {name: value for name, value in reply.headers.items() if name not in ("date", "content-length")}
    policy = said.pop("content-security-policy")
    assert said == {
        "content-type": "text/html; charset=utf-8",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
    }
    assert re.sub(r"sha256-[A-Za-z0-9+/]{43}=", "HASH", policy).split("; ") == [
        "default-src 'none'",
        "script-src 'HASH'",
        "style-src 'HASH'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
    ]
