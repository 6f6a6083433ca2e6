"""What every execd does with the files of its place, the real one and the fake one.

Source: execd/PROTOCOL.md, section "Files".
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from support.execd_contract import ExecdContract, OnFakeExecd, OnRealExecd, Place

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.failures import FileRefusedError, NoFileError
from ws_mcp.core.execd.files import MAX_ENTRIES, MAX_FILE_BYTES, FileKind, list_directory, read_file, stat, write_file

NO_PATHS = ("..", "../outside", "sub/../file", "/etc/passwd", "/", "a\0b", "x" * 4097, "x" * 300, "file/", "file/x")
OUTWARD = ("out", "absolute", "absolute-inside", "folder/outside", "chain", "circle", "dangling")


async def every_request(client: ExecdClient, root: str, path: str) -> list[Exception]:
    """What each of the four is refused with; none may succeed."""
    refusals: list[Exception] = []
    asking: list[Any] = [
        stat(client, root, path),
        read_file(client, root, path),
        write_file(client, root, path, b"forged"),
        list_directory(client, root, path),
    ]
    for asked in asking:
        with pytest.raises((FileRefusedError, InvalidArgumentError)) as refused:
            await asked
        refusals.append(refused.value)
    return refusals


class FilesContract(ExecdContract):
    # --- looking ---

    async def test_a_status_tells_kind_size_and_mode(self, place: Place, client: ExecdClient) -> None:
        place.disk.put("sub/file", b"content", mode=0o640)
        found = await stat(client, place.disk.root, "sub/file")
        assert (found.kind, found.size, found.mode) == (FileKind.FILE, 7, 0o640)
        again = await stat(client, place.disk.root, "./sub//file")
        assert again == found
        root = await stat(client, place.disk.root, "")
        assert root.kind is FileKind.DIRECTORY
        assert root.device == found.device
        assert root.inode != found.inode

    async def test_what_is_missing_is_told_apart(self, place: Place, client: ExecdClient) -> None:
        place.disk.make_directory("sub")
        with pytest.raises(NoFileError, match=r"there is no .*missing.*list the directory"):
            await stat(client, place.disk.root, "sub/missing")
        with pytest.raises(NoFileError):
            await read_file(client, place.disk.root, "missing")
        with pytest.raises(NoFileError):
            await list_directory(client, place.disk.root, "missing/deeper")
        with pytest.raises(NoFileError):
            await read_file(client, "/no/such/root", "file")

    async def test_entries_come_by_name_up_to_a_limit(self, place: Place, client: ExecdClient) -> None:
        place.disk.make_directory("sub")
        place.disk.put("b", b"12")
        place.disk.put("A", b"")
        place.disk.make_link("ü", "b")
        place.disk.make_pipe("pipe")
        found = await list_directory(client, place.disk.root, "")
        assert [(e.name, e.kind) for e in found.entries] == [
            ("A", FileKind.FILE), ("b", FileKind.FILE), ("pipe", FileKind.PIPE), ("sub", FileKind.DIRECTORY),
            ("ü", FileKind.LINK),
        ]  # fmt: skip
        assert found.entries[1].size == 2
        assert found.total == 5
        part = await list_directory(client, place.disk.root, ".", limit=2)
        assert (part.entries, part.total) == (found.entries[:2], 5)
        empty = await list_directory(client, place.disk.root, "sub")
        assert (empty.entries, empty.total) == ((), 0)

    async def test_a_large_directory_is_listed_in_part(self, place: Place, client: ExecdClient) -> None:
        for number in range(3000):
            place.disk.put(f"many/{number:04}", b"")
        found = await list_directory(client, place.disk.root, "many", limit=10)
        assert ([e.name for e in found.entries], found.total) == ([f"000{n}" for n in range(10)], 3000)

    # --- reading ---

    async def test_a_file_is_read_whole_or_in_windows(self, place: Place, client: ExecdClient) -> None:
        place.disk.put("file", b"0123456789\xff\x00")
        whole = await read_file(client, place.disk.root, "file")
        assert (whole.content, whole.status.size) == (b"0123456789\xff\x00", 12)
        windows = [
            (await read_file(client, place.disk.root, "file", offset=o, limit=5)).content for o in (0, 5, 10, 15)
        ]
        assert windows == [b"01234", b"56789", b"\xff\x00", b""]

    async def test_a_mebibyte_is_read_and_written_and_not_more(self, place: Place, client: ExecdClient) -> None:
        content = bytes(range(256)) * (MAX_FILE_BYTES // 256)
        await write_file(client, place.disk.root, "large", content)
        assert (await read_file(client, place.disk.root, "large")).content == content
        with pytest.raises(FileRefusedError, match=str(MAX_FILE_BYTES)):
            await write_file(client, place.disk.root, "larger", content + b"x")
        with pytest.raises(FileRefusedError, match=str(MAX_FILE_BYTES)):
            await client.call("write_file", {"root": place.disk.root, "path": "larger"}, content + b"x", timeout_s=30)
        place.disk.put("larger", content + b"rest")
        assert (await read_file(client, place.disk.root, "larger")).content == content
        assert (await read_file(client, place.disk.root, "larger", offset=MAX_FILE_BYTES)).content == b"rest"

    # --- writing ---

    async def test_a_written_file_keeps_its_mode_or_gets_another(self, place: Place, client: ExecdClient) -> None:
        async def mode() -> int:
            return (await stat(client, place.disk.root, "file")).mode

        await write_file(client, place.disk.root, "file", b"one")
        assert await mode() == 0o644
        await write_file(client, place.disk.root, "file", b"", mode=0o700)
        await write_file(client, place.disk.root, "file", b"two")
        assert await mode() == 0o700
        assert place.disk.content("file") == b"two"
        assert place.disk.names("") == ["file"]

    async def test_directories_are_made_where_that_is_wanted(self, place: Place, client: ExecdClient) -> None:
        with pytest.raises(NoFileError):
            await write_file(client, place.disk.root, "a/b/file", b"x")
        assert place.disk.names("") == []
        await write_file(client, place.disk.root, "a/b/file", b"x", makes_directories=True)
        assert place.disk.content("a/b/file") == b"x"
        with pytest.raises(FileRefusedError):
            await write_file(client, place.disk.root, "a/b/file/c/d", b"x", makes_directories=True)

    async def test_of_two_writers_one_wins_whole(self, place: Place, client: ExecdClient) -> None:
        contents = (b"a" * MAX_FILE_BYTES, b"b" * MAX_FILE_BYTES)
        async with place.client() as other, anyio.create_task_group() as tasks:
            for own, content in zip((client, other), contents, strict=True):
                tasks.start_soon(write_file, own, place.disk.root, "file", content)
        assert place.disk.content("file") in contents
        assert place.disk.names("") == ["file"]

    # --- what is refused ---

    async def test_paths_that_are_none_are_refused(self, place: Place, client: ExecdClient) -> None:
        place.disk.put("file", b"kept")
        place.disk.put("sub/file", b"kept")
        place.disk.put("../outside", b"kept")
        for path in NO_PATHS:
            for refusal in await every_request(client, place.disk.root, path):
                assert "stays below the root" in str(refusal), path
        for root in ("", "relative", ".", "/x\0", f"{place.disk.root}/file"):
            await every_request(client, root, "file")
        assert place.disk.content("file") + place.disk.content("../outside") == b"keptkept"
        assert place.disk.names("") == ["file", "sub"]

    async def test_links_that_lead_out_are_not_followed(self, place: Place, client: ExecdClient) -> None:
        place.disk.put("../outside", b"secret")
        place.disk.put("file", b"")
        place.disk.make_link("out", "../outside")
        place.disk.make_link("absolute", "/etc/passwd")
        place.disk.make_link("absolute-inside", f"{place.disk.root}/file")
        place.disk.make_link("folder", "..")
        place.disk.make_link("chain", "out")
        place.disk.make_link("circle", "circle")
        place.disk.make_link("dangling", "../new")
        for path in OUTWARD:
            for refusal in await every_request(client, place.disk.root, path):
                assert "stays below the root" in str(refusal), path
        with pytest.raises(FileRefusedError, match="leads out"):
            await write_file(client, place.disk.root, "folder/a/b", b"x", makes_directories=True)
        assert place.disk.content("../outside") == b"secret"
        assert "new" not in place.disk.names("..")
        assert "a" not in place.disk.names("..")

    async def test_links_below_the_root_are_followed(self, place: Place, client: ExecdClient) -> None:
        place.disk.put("sub/deep", b"content")
        place.disk.make_link("folder", "sub")
        place.disk.make_link("sub/back", "../sub/deep")
        place.disk.make_link("far", "folder/back")
        for path in ("folder/deep", "sub/back", "far", "folder/back"):
            assert (await read_file(client, place.disk.root, path)).content == b"content"
        await write_file(client, place.disk.root, "far", b"changed")
        assert place.disk.content("sub/deep") == b"changed"
        names = {e.name: e.kind for e in (await list_directory(client, place.disk.root, "")).entries}
        assert names == {"far": FileKind.LINK, "folder": FileKind.LINK, "sub": FileKind.DIRECTORY}

    async def test_what_is_no_file_is_refused_at_once(self, place: Place, client: ExecdClient) -> None:
        place.disk.make_pipe("pipe")
        place.disk.make_directory("sub")
        for path in ("pipe", "sub", "", "."):
            with pytest.raises(FileRefusedError, match="no regular file"):
                await read_file(client, place.disk.root, path)
            with pytest.raises(FileRefusedError, match="no regular file"):
                await write_file(client, place.disk.root, path, b"x")
        with pytest.raises(FileRefusedError, match="no directory"):
            await list_directory(client, place.disk.root, "pipe")
        assert (await stat(client, place.disk.root, "pipe")).kind is FileKind.PIPE

    async def test_numbers_that_cannot_be_are_refused(self, place: Place, client: ExecdClient) -> None:
        place.disk.put("file", b"kept")
        root = place.disk.root
        asking: list[Any] = [
            read_file(client, root, "file", offset=-1),
            read_file(client, root, "file", limit=0),
            read_file(client, root, "file", limit=MAX_FILE_BYTES + 1),
            list_directory(client, root, "", limit=0),
            list_directory(client, root, "", limit=MAX_ENTRIES + 1),
            write_file(client, root, "file", b"x", mode=0o4755),
            write_file(client, root, "file", b"x", mode=-1),
        ]
        for asked in asking:
            with pytest.raises(InvalidArgumentError):
                await asked
        assert place.disk.content("file") == b"kept"


class TestFakeFilesContract(OnFakeExecd, FilesContract):
    pass


@pytest.mark.usefixtures("real_io")
class TestRealFilesContract(OnRealExecd, FilesContract):
    pass
