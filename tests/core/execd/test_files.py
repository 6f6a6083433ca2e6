"""Files and probes where the other side is older, lies or fails; what a good execd does is in the contract suite."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from support.fake_execd import FakeExecd, open_fake_execd
from support.memory_stream import MemoryStream, memory_streams

from ws_mcp.core.errors import ConflictError, InvalidArgumentError, LimitError, StartError, WsError
from ws_mcp.core.execd.client import ExecdClient, open_execd
from ws_mcp.core.execd.failures import ExecdUnavailableError, FileRefusedError, NotReadyError, OlderExecdError
from ws_mcp.core.execd.files import MAX_FILE_BYTES, FileKind, list_directory, read_file, stat, write_file
from ws_mcp.core.execd.protocol import encode
from ws_mcp.core.execd.ready import HttpProbe, TcpProbe, probe, release

Ask = Callable[[ExecdClient], Awaitable[object]]
ROOT = "/workspace"
HELLO: dict[str, object] = {"protocol": 1, "place": "w", "boot": "b", "platform": "p"}
STATUS: dict[str, Any] = {
    "kind": "file", "size": 5, "mode": 420, "uid": 0, "gid": 0, "mtime_ms": 0, "device": 1, "inode": (1 << 64) - 1,
}  # fmt: skip
ENTRY = {"name": "x", "kind": "file", "size": 1, "mtime_ms": 0}
ASKING: dict[str, Ask] = {
    "stat": lambda client: stat(client, ROOT, ""),
    "read_file": lambda client: read_file(client, ROOT, "x", limit=5),
    "write_file": lambda client: write_file(client, ROOT, "x", b""),
    "list_directory": lambda client: list_directory(client, ROOT, "", limit=2),
    "probe": lambda client: probe(client, HttpProbe(port=80), 1),
    "release": release,
}


@pytest.fixture
async def execd() -> AsyncGenerator[FakeExecd]:
    async with open_fake_execd() as execd:
        yield execd


@asynccontextmanager
async def connected(execd: FakeExecd) -> AsyncGenerator[ExecdClient]:
    async with execd.connect() as stream, open_execd(stream, "00ff", on_event=None, client_name="t") as client:
        yield client


async def told(ask: Ask, header: dict[str, Any], body: bytes = b"") -> object:
    """What is made of this answer."""
    refused: WsError | None = None
    found: object = None
    ours, theirs = memory_streams()
    async with ours, theirs, anyio.create_task_group() as tasks:

        async def answer(peer: MemoryStream) -> None:
            await peer.receive()
            await peer.send(encode({"id": 1, "requests": list(ASKING)} | HELLO))
            await peer.receive()
            await peer.send(encode({"id": 2} | header, body))

        tasks.start_soon(answer, theirs)
        async with open_execd(ours, "00ff", on_event=None, client_name="t") as client:
            try:
                found = await ask(client)
            except WsError as error:
                refused = error
    if refused is not None:  # outside, or it would come in an exception group
        raise refused
    return found


@pytest.mark.parametrize("op", ASKING)
async def test_an_older_execd_is_named_and_not_asked(execd: FakeExecd, op: str) -> None:
    execd.is_older = True
    async with connected(execd) as client:
        with pytest.raises(OlderExecdError, match=r"this workspace's execd is older .*: make the workspace again"):
            await ASKING[op](client)
        assert execd.asked == ["hello"]
        with pytest.raises(InvalidArgumentError, match=f'there is no op "{op}"'):
            await client.call(op, {}, timeout_s=5)
        assert (await client.stats()).connections == 1


async def test_an_older_execd_is_a_conflict_that_asking_again_does_not_solve() -> None:
    assert issubclass(OlderExecdError, ConflictError)
    assert not issubclass(OlderExecdError, ExecdUnavailableError)


async def test_files_outlive_a_restart_of_execd(execd: FakeExecd) -> None:
    async with connected(execd) as client:
        await write_file(client, ROOT, "a/b", b"kept", makes_directories=True)
    execd.restart()
    async with connected(execd) as client:
        assert (await read_file(client, ROOT, "a/b")).content == b"kept"


async def test_content_that_is_too_large_is_not_sent(execd: FakeExecd) -> None:
    async with connected(execd) as client:
        with pytest.raises(FileRefusedError, match="write a file of this size with a process"):
            await write_file(client, ROOT, "x", bytes(MAX_FILE_BYTES + 1))
        assert execd.asked == ["hello"]


async def test_a_probe_that_its_caller_gives_up_ends_in_execd(execd: FakeExecd) -> None:
    async with connected(execd) as client:
        with anyio.move_on_after(0.01) as scope:
            await probe(client, TcpProbe(port=80), 500)
        assert scope.cancelled_caught
        await client.call("ping", {}, timeout_s=5)
    assert execd.asked == ["hello", "probe", "cancel", "ping"]


@pytest.mark.usefixtures("virtual_time")
async def test_a_probe_may_take_ten_minutes(execd: FakeExecd) -> None:
    async with connected(execd) as client:
        began = anyio.current_time()
        with pytest.raises(NotReadyError, match="nothing listens on port 80; tried for 600s; the server's own output"):
            await probe(client, TcpProbe(port=80), 600)
        assert anyio.current_time() - began == pytest.approx(600)


@pytest.mark.parametrize(
    ("code", "error", "advice"),
    [
        ("no_permission", FileRefusedError, "change its permissions"),
        ("no_space", FileRefusedError, "nothing was changed"),
        ("limit", LimitError, "the test says so"),
    ],
)
async def test_a_write_that_the_system_refuses_says_what_to_do(
    execd: FakeExecd, code: str, error: type[Exception], advice: str
) -> None:
    execd.disk.put("x", b"old")
    execd.disk.refuse_writes(code)
    async with connected(execd) as client:
        with pytest.raises(error, match=advice):
            await write_file(client, ROOT, "x", b"new")
    assert execd.disk.content("x") == b"old"


async def test_a_release_while_the_place_stops_starts_nothing() -> None:
    error = {"code": "start_failed", "text": "execd is stopping"}
    with pytest.raises(StartError, match="execd is stopping; nothing was started"):
        await told(release, {"error": error})


async def test_large_inodes_unknown_kinds_and_impossible_times_are_taken() -> None:
    found: Any = await told(ASKING["stat"], STATUS | {"kind": "door", "mtime_ms": (1 << 63) - 1})
    assert (found.inode, found.kind) == ((1 << 64) - 1, FileKind.OTHER)
    assert found.modified_at == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("op", "header", "body"),
    [
        ("stat", STATUS | {"inode": 1 << 64}, b""),
        ("stat", STATUS | {"inode": -1}, b""),
        ("stat", STATUS | {"device": "1"}, b""),
        ("stat", STATUS | {"device": True}, b""),
        ("stat", STATUS | {"kind": 5}, b""),
        ("stat", STATUS | {"size": 1.5}, b""),
        ("read_file", STATUS, b"123456"),
        ("read_file", {}, b"1"),
        ("write_file", {"size": "5"}, b""),
        ("list_directory", {"entries": [ENTRY] * 3, "total": 3}, b""),
        ("list_directory", {"entries": [ENTRY], "total": 0}, b""),
        ("list_directory", {"entries": [ENTRY]}, b""),
        ("list_directory", {"total": 0}, b""),
        ("list_directory", {"entries": [5], "total": 1}, b""),
        *(
            ("list_directory", {"entries": [ENTRY | {"name": n}], "total": 1}, b"")
            for n in ("", ".", "..", "a/b", "a\0")
        ),
        ("probe", {"status": "200"}, b""),
    ],
)
async def test_answers_that_cannot_be_are_those_of_an_execd_that_is_of_no_use(
    op: str, header: dict[str, Any], body: bytes
) -> None:
    with pytest.raises(ExecdUnavailableError, match="what the protocol forbids") as failed:
        await told(ASKING[op], header, body)
    assert failed.value.was_sent
