"""The fake engine's own means: faults, hangs, an engine that is down; time is virtual."""

from __future__ import annotations

import anyio
import pytest
from anyio.abc import ByteStream
from support.byte_pipe import byte_pipe
from support.fake_engine import FakeEngine

from ws_mcp.core.engine.model import Container, ContainerSpec, ContainerState, ExecSpec, Image, Volume
from ws_mcp.core.errors import (
    EngineConflictError,
    EngineError,
    EngineNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
)
from ws_mcp.core.ids import ContainerId

SPEC = ContainerSpec(name="c", image="i:1", command=("sleep", "1000"))


@pytest.fixture
def engine() -> FakeEngine:
    engine = FakeEngine()
    engine.add_image(Image(id="sha256:" + "1" * 64, tags=("i:1",), architecture="amd64"))
    return engine


async def running(engine: FakeEngine) -> ContainerId:
    container = await engine.create(SPEC)
    await engine.start(container)
    return container


async def test_a_call_fails_once_without_effect(engine: FakeEngine) -> None:
    engine.fail_next("create", EngineError("full"))
    with pytest.raises(EngineError, match="full"):
        await engine.create(SPEC)
    assert not engine.containers
    assert await engine.create(SPEC)


async def test_an_answer_can_be_lost_after_the_effect(engine: FakeEngine) -> None:
    engine.fail_next("create", EngineTimeoutError("late"), takes_effect=True)
    with pytest.raises(EngineTimeoutError):
        await engine.create(SPEC)
    assert [container.spec.name for container in engine.containers.values()] == ["c"]


async def test_a_call_that_hangs_ends_at_its_deadline(engine: FakeEngine, virtual_time: None) -> None:
    engine.hang_next("start")
    container = await engine.create(SPEC)
    began = anyio.current_time()
    with pytest.raises(EngineTimeoutError):
        await engine.start(container)
    assert anyio.current_time() - began == pytest.approx(10)
    assert engine.containers[container].state is ContainerState.CREATED


async def test_an_engine_that_is_down_answers_nothing_and_keeps_everything(engine: FakeEngine) -> None:
    container = await running(engine)
    async with engine.open_exec(container, ExecSpec(argv=("cat",))) as stream, engine.open_events() as events:
        await engine.go_down()
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        assert [event async for event in events] == []
    with pytest.raises(EngineUnavailableError):
        await engine.info()
    engine.come_back()
    assert (await engine.inspect(container)).state is ContainerState.RUNNING


async def test_a_test_says_what_a_command_does(engine: FakeEngine) -> None:
    ours, its = byte_pipe()

    def attach(container: Container, spec: ExecSpec) -> ByteStream:
        assert (container.name, spec.argv) == ("c", ("x",))
        return ours

    engine.on_exec = attach
    async with engine.open_exec(await running(engine), ExecSpec(argv=("x",))) as stream:
        await its.send(b"hello")
        assert await stream.receive() == b"hello"
        await stream.send(b"you")
        assert await its.receive() == b"you"
    with pytest.raises(anyio.EndOfStream):
        await its.receive()


async def test_a_container_can_die_by_itself(engine: FakeEngine) -> None:
    container = await running(engine)
    async with engine.open_exec(container, ExecSpec(argv=("cat",))) as stream:
        await engine.die(container, 139)
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        with pytest.raises(anyio.BrokenResourceError):
            await stream.send(b"x")
    assert (await engine.inspect(container)).exit_code == 139


async def test_a_volume_of_somebody_else_comes_back_from_create(engine: FakeEngine) -> None:
    foreign = Volume(name="v", driver="local", labels={}, options={"o": "bind", "device": "/etc"}, created_at="")
    engine.add_volume(foreign)
    assert await engine.create_volume("v", {"a": "b"}) == foreign


async def test_a_missing_network_and_a_missing_command_stop_the_start(engine: FakeEngine) -> None:
    with pytest.raises(EngineNotFoundError, match="network"):
        await engine.start(await engine.create(ContainerSpec(name="a", image="i:1", command=("x",), network="n")))
    with pytest.raises(EngineError, match="no command"):
        await engine.start(await engine.create(ContainerSpec(name="b", image="i:1")))
    with pytest.raises(EngineConflictError):
        await engine.create(ContainerSpec(name="b", image="i:1"))
