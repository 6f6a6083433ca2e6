"""From an answer that is no whole list nothing is concluded: not that there is nothing, and not that there is less."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from anyio.abc import ByteStream
from support.http_server import Request, always, open_door

from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.errors import EngineError

pytestmark = pytest.mark.usefixtures("real_io")

List = Callable[[DockerEngine], Awaitable[object]]
LISTS: dict[str, List] = {
    "containers": lambda engine: engine.list_containers({}),
    "volumes": lambda engine: engine.list_volumes({}),
    "networks": lambda engine: engine.list_networks({}),
    "images": lambda engine: engine.list_images(),
    "nodes": lambda engine: engine.swarm_nodes(),
    "rooms": lambda engine: engine.swarm_rooms({}),
    "overlays": lambda engine: engine.swarm_overlays({}),
}
WHOLE = json.dumps([{"Id": "a" * 64}, {"Id": "b" * 64}]).encode()


async def _check_refused(engine: DockerEngine, says: str = ".") -> None:
    for what, ask in LISTS.items():
        with pytest.raises(EngineError, match=says):
            raise AssertionError(what, await ask(engine))


@pytest.mark.parametrize("body", [None, "x", 5, {}, {"message": "later"}, [None], [[]], {"Volumes": 3}])
async def test_what_is_no_list_is_an_error(tmp_path: Path, body: object) -> None:
    async with open_door(tmp_path / "s", always(200, body)) as (engine, _):
        await _check_refused(engine, "cannot be read")


@pytest.mark.parametrize("status", [206, 500, 503])
async def test_a_part_and_a_failure_are_errors(tmp_path: Path, status: int) -> None:
    async with open_door(tmp_path / "s", always(status, [])) as (engine, _):
        await _check_refused(engine, "only a part of the answer came" if status == 206 else ".")


LENGTH = f"Content-Length: {len(WHOLE)}\r\n\r\n".encode()
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n" + f"{len(WHOLE):x}\r\n".encode()


@pytest.mark.parametrize("fields", [LENGTH, CHUNKED, b"Connection: close\r\n\r\n"], ids=["length", "chunked", "close"])
@pytest.mark.parametrize("kept", [0, 1, 20, len(WHOLE) - 1])
async def test_an_answer_that_is_cut_is_an_error(tmp_path: Path, fields: bytes, kept: int) -> None:
    async def answer(_request: Request, stream: ByteStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + fields + WHOLE[:kept])
        await stream.aclose()

    async with open_door(tmp_path / "s", answer) as (engine, _):
        await _check_refused(engine)


async def test_an_empty_list_of_volumes_may_be_written_as_null(tmp_path: Path) -> None:
    async with open_door(tmp_path / "s", always(200, {"Volumes": None, "Warnings": None})) as (engine, _):
        assert await engine.list_volumes({}) == ()
