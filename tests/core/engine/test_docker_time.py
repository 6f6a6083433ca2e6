"""The engine door in time: deadlines, cancelled callers, lost connections, slow calls beside quick ones."""

from __future__ import annotations

import threading
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from support.http_server import Request, always, hang, open_door, open_server, reply

from ws_mcp.core.engine.breaker import FAILURES
from ws_mcp.core.engine.deadlines import Deadlines
from ws_mcp.core.engine.docker import ACTORS, DockerEngine
from ws_mcp.core.engine.model import ContainerSpec, ExecSpec
from ws_mcp.core.errors import EngineTimeoutError, EngineUnavailableError
from ws_mcp.core.ids import ContainerId

pytestmark = pytest.mark.usefixtures("real_io")

ID = ContainerId("a" * 64)
SHORT = Deadlines(look_s=0.2, act_s=0.4, connect_s=2)


async def test_an_engine_that_hangs_is_given_up(tmp_path: Path) -> None:
    async with open_door(tmp_path / "s", hang, SHORT) as (engine, _):
        with anyio.fail_after(30):
            with pytest.raises(EngineTimeoutError, match="did not answer in time"):
                await engine.info()
            with pytest.raises(EngineTimeoutError):
                await engine.start(ID)
            with pytest.raises(EngineTimeoutError):
                await engine.get_archive(ID, "/x", 10)


async def test_an_engine_that_hangs_from_the_first_moment_is_given_up(tmp_path: Path) -> None:
    async with await anyio.create_unix_listener(tmp_path / "s"):
        engine = DockerEngine(str(tmp_path / "s"), {}, SHORT)
        with anyio.fail_after(30), pytest.raises(EngineTimeoutError):
            await engine.info()


async def test_a_look_that_is_cancelled_is_left_at_once(tmp_path: Path) -> None:
    asked = anyio.Event()

    async def hang_when_asked(request: Request, stream: ByteStream) -> None:
        asked.set()
        await hang(request, stream)

    door = open_door(tmp_path / "s", hang_when_asked, Deadlines(look_s=60, act_s=60))
    with anyio.fail_after(5):
        async with door as (engine, _), anyio.create_task_group() as tasks:
            tasks.start_soon(engine.inspect, ID)
            await asked.wait()
            tasks.cancel_scope.cancel()


async def test_an_act_that_is_cancelled_still_gives_its_result(tmp_path: Path) -> None:
    asked, go_on = anyio.Event(), anyio.Event()

    async def create(_request: Request, stream: ByteStream) -> None:
        asked.set()
        await go_on.wait()
        await reply(stream, 201, {"Id": ID, "Warnings": []})

    made: list[ContainerId] = []

    async def provision(engine: DockerEngine) -> None:
        made.append(await engine.create(ContainerSpec(name="x", image="y")))

    async with open_door(tmp_path / "s", create) as (engine, _), anyio.create_task_group() as tasks:
        tasks.start_soon(provision, engine)
        await asked.wait()
        tasks.cancel_scope.cancel()
        go_on.set()
    assert made == [ID]


async def test_slow_acts_keep_nobody_from_looking(tmp_path: Path) -> None:
    go_on = anyio.Event()

    async def answer(request: Request, stream: ByteStream) -> None:
        if request.method == "POST":
            await go_on.wait()
        await reply(stream, 200, [])

    async with open_door(tmp_path / "s", answer) as (engine, server), anyio.create_task_group() as tasks:
        for _ in range(ACTORS + 2):
            tasks.start_soon(engine.stop, ID, 10)
        with anyio.fail_after(30):
            while sum(request.method == "POST" for request in server.requests) < ACTORS:
                assert await engine.list_containers({}) == ()
        assert await engine.list_containers({}) == ()
        go_on.set()


async def test_a_look_is_tried_again_on_a_fresh_connection(tmp_path: Path) -> None:
    dropped: list[Request] = []

    async def drop_the_first(request: Request, stream: ByteStream) -> None:
        if not dropped:
            dropped.append(request)
            await stream.aclose()
        else:
            await reply(stream, 200, [])

    async with open_door(tmp_path / "s", drop_the_first) as (engine, _):
        assert await engine.list_containers({}) == ()
    assert dropped


async def test_an_act_is_not_tried_again(tmp_path: Path) -> None:
    async def drop(_request: Request, stream: ByteStream) -> None:
        await stream.aclose()

    async with open_door(tmp_path / "s", drop) as (engine, server):
        with pytest.raises(EngineUnavailableError):
            await engine.start(ID)
        assert sum(request.method == "POST" for request in server.requests) == 1


async def test_after_a_loss_the_version_is_agreed_upon_again(tmp_path: Path) -> None:
    refusals = [{"message": "client version 1.41 is too old. Minimum supported API version is 1.44"}]

    async def answer(_request: Request, stream: ByteStream) -> None:
        if refusals:
            await reply(stream, 400, refusals.pop())
        else:
            await reply(stream, 200, [])

    async with open_door(tmp_path / "s", answer) as (engine, server):
        with pytest.raises(EngineUnavailableError, match="call again"):
            await engine.list_containers({})
        assert await engine.list_containers({}) == ()
        assert sum(request.target.endswith("/version") for request in server.requests) == 2


async def test_an_engine_that_comes_up_later_is_found(tmp_path: Path) -> None:
    engine = DockerEngine(str(tmp_path / "s"), {})
    with pytest.raises(EngineUnavailableError):
        await engine.list_containers({})
    async with open_server(tmp_path / "s", always(200, [])):
        assert await engine.list_containers({}) == ()
        await engine.aclose()


async def test_calls_run_in_worker_threads(tmp_path: Path) -> None:
    async with open_door(tmp_path / "s", always(200, [])) as (engine, _):
        await engine.list_containers({})
        names = [thread.name for thread in threading.enumerate()]
    assert any("worker" in name.lower() for name in names)


async def test_an_answer_that_trickles_is_given_up_as_one_that_never_comes(tmp_path: Path) -> None:
    async def trickle(_request: Request, stream: ByteStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await stream.send(b" ")
            await anyio.sleep(0.05)

    async with open_door(tmp_path / "s", trickle, SHORT) as (engine, _):
        with anyio.fail_after(30):
            with pytest.raises(EngineTimeoutError):
                await engine.list_containers({})
            with pytest.raises(EngineTimeoutError):
                await engine.start(ID)
            with anyio.move_on_after(0.1), pytest.raises(EngineTimeoutError):
                await engine.start(ID)


async def test_an_engine_that_hangs_is_asked_by_few_and_by_all_again_when_it_answers(tmp_path: Path) -> None:
    answers = anyio.Event()

    async def answer(request: Request, stream: ByteStream) -> None:
        await answers.wait()
        if "/events" in request.target:
            await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        else:
            await reply(stream, 200, [])

    async with open_door(tmp_path / "s", answer, SHORT) as (engine, server):
        with anyio.fail_after(30):
            for _ in range(FAILURES):
                with pytest.raises(EngineTimeoutError, match="did not answer in time"):
                    await engine.list_containers({})
            asked = len(server.requests)
            for _ in range(50):
                with pytest.raises(EngineTimeoutError, match="next try"):
                    await engine.list_containers({})
                with pytest.raises(EngineTimeoutError, match="next try"):
                    await engine.start(ID)
                with pytest.raises(EngineTimeoutError, match="next try"):
                    async with engine.open_exec(ID, ExecSpec(argv=("true",))):
                        pass
            assert len(server.requests) == asked
            answers.set()
            async with engine.open_events():  # who listens tries whatever the others found
                pass
            assert await engine.list_containers({}) == ()
