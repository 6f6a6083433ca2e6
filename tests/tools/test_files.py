"""Files of a workspace through a client: text as it is, everything else as base64, in pieces that join."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.edge_client import MODES, call, ok, open_client, refused, text_of
from support.fake_core import FakeCore

from ws_mcp.core.workspaces.model import FileSlice
from ws_mcp.tools.files import MAX_RAW_BYTES, _shown

MIB = 1024 * 1024


async def read(core: FakeCore, path: str, **more: int) -> str:
    async with open_client(core) as client:
        result = await call(client, "workspace_files", action="read", path=path, **more)
        assert not result.is_error
        assert result.structured_content is None
        return text_of(result)


@pytest.mark.parametrize("mode", MODES)
async def test_a_file_that_is_written_is_read_back_as_it_is(mode: str) -> None:
    async with open_client(FakeCore(), mode) as client:
        text = "eins\r\nzwei\tdrei \x1b[31mü\n"
        written = await ok(client, "workspace_files", action="write", path="a/b.txt", content=text)
        assert written == {"path": "/workspace/a/b.txt", "size": len(text.encode())}
        result = await call(client, "workspace_files", action="read", path="a/b.txt")
        assert text_of(result) == f"{text}[/workspace/a/b.txt | bytes 0-24 of 24 | end of file]"
        assert result.meta is not None
        assert result.meta["dev.ws-mcp/window"] == {"start": 0, "end": 24, "size": 24, "encoding": "utf-8"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "[/workspace/f | bytes 0-0 of 0 | end of file]"),
        (b"no newline", "no newline\n[/workspace/f | bytes 0-10 of 10 | end of file, without a newline]"),
        (b"\xff\xfe", "//4=\n[/workspace/f | bytes 0-2 of 2 | base64 | end of file]"),
        (b"a\0b", "YQBi\n[/workspace/f | bytes 0-3 of 3 | base64 | end of file]"),
    ],
    ids=["empty", "no newline", "no UTF-8", "NUL"],
)
async def test_the_last_line_says_what_was_shown(content: bytes, said: str) -> None:
    core = FakeCore()
    core.files.there["/workspace/f"] = content
    assert await read(core, "f") == said


async def test_a_piece_ends_before_a_character_that_it_would_cut() -> None:
    core = FakeCore()
    core.files.there["/workspace/f"] = "aäöü€".encode()
    assert await read(core, "f", limit=4) == "aä\n[/workspace/f | bytes 0-3 of 10 | next offset=3]"
    assert await read(core, "f", offset=3, limit=5) == "öü\n[/workspace/f | bytes 3-7 of 10 | next offset=7]"
    # Less than a character at a time would never get on.
    assert (await read(core, "f", offset=7, limit=1)).startswith("€\n[/workspace/f | bytes 7-10 of 10")


@pytest.mark.parametrize("content", [b"\xff" * 100_000, b"a\n" * 50_000, "€".encode() * 33_333], ids=["raw", "a", "€"])
async def test_no_answer_is_longer_than_hosts_show(content: bytes) -> None:
    core = FakeCore()
    core.files.there["/workspace/f"] = content
    assert len(await read(core, "f", limit=1_000_000)) < 40_000


@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=80).map(str.encode)), limit=st.integers(4, 60))
def test_pieces_join_to_the_file(content: bytes, limit: int) -> None:
    joined, offset = b"", 0
    while True:
        piece = content[offset : offset + limit]
        shown = _shown(FileSlice(path="f", content=piece, offset=offset, size=len(content)))
        joined += base64.b64decode(shown.text) if shown.encoding == "base64" else shown.text.encode()
        assert shown.start == offset
        assert shown.end > offset or offset == len(content)
        offset = shown.end
        if offset >= len(content):
            break
    assert joined == content


def test_pieces_of_base64_join_as_text() -> None:
    assert MAX_RAW_BYTES % 3 == 0


@pytest.mark.parametrize("mode", MODES)
async def test_bytes_are_written_as_base64_and_programs_may_run(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        encoded = base64.encodebytes(bytes(range(256))).decode()
        written = await ok(client, "workspace_files", action="write_base64", path="raw", content=encoded)
        assert written == {"path": "/workspace/raw", "size": 256}
        assert core.files.there["/workspace/raw"] == bytes(range(256))
        await ok(client, "workspace_files", action="write_program", path="run", content="#!/bin/sh\n")
        await ok(client, "workspace_files", action="write", path="empty", content="")
        assert (core.files.programs, core.files.there["/workspace/empty"]) == ({"/workspace/run"}, b"")


@pytest.mark.parametrize("mode", MODES)
async def test_a_directory_is_listed(mode: str) -> None:
    core = FakeCore()
    core.files.there["/workspace/empty"] = b""
    async with open_client(core, mode) as client:
        assert await ok(client, "workspace_files", action="list") == {
            "path": "/workspace",
            "total": 2,
            "entries": [{"name": "empty"}, {"name": "hello.txt", "size": 6}],
        }


async def test_a_long_list_says_how_many_names_there_are() -> None:
    core = FakeCore()
    core.files.there = {f"/workspace/{'ä' * 100}{n:04}": b"" for n in range(3000)}
    async with open_client(core) as client:
        result = await call(client, "workspace_files", action="list")
        assert result.structured_content is not None
        assert result.structured_content["total"] == 3000
        assert 50 < len(result.structured_content["entries"]) < 500
        assert len(text_of(result)) < 40_000


async def test_a_name_that_a_process_made_up_does_not_reach_the_model_as_it_is() -> None:
    core = FakeCore()
    core.files.there = {"/workspace/a\x1b[2J\n\u202eb": b""}
    async with open_client(core) as client:
        listed = await ok(client, "workspace_files", action="list")
        assert listed["entries"] == [{"name": "a [2J b"}]


async def test_what_cannot_be_done_says_what_to_do() -> None:
    core = FakeCore()
    async with open_client(core) as client:

        async def said(**arguments: object) -> str:
            return await refused(client, "workspace_files", **arguments)

        assert await said(action="write", path="f") == (
            'workspace_files: writing needs `content`; "" makes an empty file'
        )
        assert await said(action="read", path="f", content="x") == (
            "workspace_files: `content` is for writing, not for action 'read'"
        )
        assert "no base64; for text use action 'write'" in await said(action="write_base64", path="f", content="hi!")
        assert "no base64" in await said(action="write_base64", path="f", content="äöü")
        assert f"at most {MIB} bytes" in await said(action="write", path="f", content="a" * (MIB + 1))
        encoded = base64.b64encode(bytes(MIB + 1)).decode()
        assert f"at most {MIB} bytes" in await said(action="write_base64", path="f", content=encoded)
        assert "`action` input should be 'read', 'list', 'write'" in await said(action="delete", path="f")
        assert await said(action="read", path="nope") == (
            "there is no '/workspace/nope' in the workspace; list its directory"
        )
        assert list(core.files.there) == ["/workspace/hello.txt"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_workspace_is_named_or_left_to_the_core(mode: str) -> None:
    core = FakeCore()
    async with open_client(core, mode) as client:
        made = await ok(client, "provision_workspace", chat="new")
        await call(client, "workspace_files", action="read", path="hello.txt", chat=made["chat"])
        await call(client, "workspace_files", action="read", path="hello.txt", workspace="api")
        (mine, unnamed), (shared, named) = core.files.asked
        assert (unnamed, named) == (None, "api")
        assert mine.chat != shared.chat
        assert "you have no chat" in await refused(client, "workspace_files", action="list", chat="c_foreign")
