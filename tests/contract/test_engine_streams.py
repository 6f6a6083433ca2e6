"""The contract of the engine door: exec streams and events."""

from __future__ import annotations

import anyio
import pytest
from anyio.abc import ByteStream
from support.engine_contract import WAIT_S, Ground, NewName, OnDocker, OnFake, OnPodman, sleeper
from support.images import BUSYBOX

from ws_mcp.core.engine.model import ContainerSpec, EngineEvent, ExecSpec
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineConflictError, InvalidArgumentError

CAT = ExecSpec(argv=("cat",))


async def rest_of(stream: ByteStream) -> bytes:
    """Everything up to the end of the stream."""
    with anyio.fail_after(WAIT_S):
        return b"".join([chunk async for chunk in stream])


class StreamsContract(Ground):
    """Commands in containers are talked to; what happens to objects is told."""

    async def test_a_megabyte_comes_back_from_cat_as_it_went(self, engine: Engine, new_name: NewName) -> None:
        sent = bytes(range(256)) * 4096
        container = await sleeper(engine, new_name())
        async with engine.open_exec(container, CAT) as stream, anyio.create_task_group() as tasks:

            async def send() -> None:
                await stream.send(sent)
                await stream.send_eof()

            tasks.start_soon(send)
            assert await rest_of(stream) == sent

    async def test_what_is_received_has_the_size_asked_for(self, engine: Engine, new_name: NewName) -> None:
        container = await sleeper(engine, new_name())
        async with engine.open_exec(container, CAT) as stream:
            with anyio.fail_after(WAIT_S):
                await stream.send(b"0123456789")
                received = b""
                while len(received) < 10:
                    chunk = await stream.receive(3)
                    assert 1 <= len(chunk) <= 3
                    received += chunk
                assert received == b"0123456789"

    async def test_many_messages_go_back_and_forth(self, engine: Engine, new_name: NewName) -> None:
        container = await sleeper(engine, new_name())
        async with engine.open_exec(container, CAT) as stream:
            with anyio.fail_after(WAIT_S):
                for number in range(100):
                    await stream.send(b"%d" % number)
                    assert await stream.receive() == b"%d" % number

    async def test_two_streams_into_one_container_are_apart(self, engine: Engine, new_name: NewName) -> None:
        container = await sleeper(engine, new_name())
        async with engine.open_exec(container, CAT) as one, engine.open_exec(container, CAT) as two:
            with anyio.fail_after(WAIT_S):
                await one.send(b"one")
                await two.send(b"two")
                assert (await two.receive(), await one.receive()) == (b"two", b"one")
            await one.aclose()
            await two.send_eof()
            assert await rest_of(two) == b""

    async def test_a_stream_ends_with_its_command(self, engine: Engine, new_name: NewName) -> None:
        container = await sleeper(engine, new_name())
        async with engine.open_exec(container, ExecSpec(argv=("echo", "hello", "you"))) as stream:
            assert await rest_of(stream) == b"hello you\n"
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()

    async def test_a_command_that_does_not_exist_ends_the_stream(self, engine: Engine, new_name: NewName) -> None:
        container = await sleeper(engine, new_name())
        async with engine.open_exec(container, ExecSpec(argv=("/no/such/program",))) as stream:
            # Some engines say why on stdout, others on stderr.
            assert b"hello" not in await rest_of(stream)

    async def test_a_command_runs_in_the_directory_that_is_asked_for(self, engine: Engine, new_name: NewName) -> None:
        container = await sleeper(engine, new_name())
        for cwd, said in (("", b"/\n"), ("/tmp", b"/tmp\n")):
            async with engine.open_exec(container, ExecSpec(argv=("pwd",), cwd=cwd)) as stream:
                assert await rest_of(stream) == said

    async def test_a_relative_directory_is_refused_before_anything_runs(
        self, engine: Engine, new_name: NewName
    ) -> None:
        container = await sleeper(engine, new_name())
        with pytest.raises(InvalidArgumentError):
            async with engine.open_exec(container, ExecSpec(argv=("pwd",), cwd="tmp")):
                pass

    async def test_a_stream_ends_with_its_container(self, engine: Engine, new_name: NewName) -> None:
        container = await sleeper(engine, new_name())
        async with engine.open_exec(container, CAT) as stream:
            with anyio.fail_after(WAIT_S):
                await stream.send(b"x")
                assert await stream.receive() == b"x"
                await engine.stop(container, 0)
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()

    async def test_nothing_runs_in_a_container_that_does_not(self, engine: Engine, new_name: NewName) -> None:
        container = await engine.create(
            ContainerSpec(name=new_name(), image=BUSYBOX, command=("sleep", "1000"), network="none")
        )
        for _ in range(2):
            with pytest.raises(EngineConflictError):
                async with engine.open_exec(container, CAT):
                    pass
            await engine.start(container)
            await engine.stop(container, 0)

    async def test_the_life_of_a_container_is_told(self, engine: Engine, new_name: NewName) -> None:
        label = f"test.{new_name()}"
        spec = ContainerSpec(
            name=new_name(), image=BUSYBOX, command=("sleep", "1000"), labels={label: "x"}, network="none"
        )
        told: list[EngineEvent] = []
        async with engine.open_events() as events:
            container = await engine.create(spec)
            await engine.start(container)
            await engine.remove(container)
            with anyio.fail_after(WAIT_S):
                async for event in events:
                    if event.id == container:
                        told.append(event)
                    if event.id == container and event.action == "destroy":
                        break
        actions = [event.action for event in told]
        assert [action for action in actions if action in ("create", "start", "die", "destroy")] == [
            "create",
            "start",
            "die",
            "destroy",
        ]
        assert all(event.kind == "container" for event in told)
        assert told[0].labels[label] == "x"

    async def test_commands_are_not_told(self, engine: Engine, new_name: NewName) -> None:
        container = await sleeper(engine, new_name())
        async with engine.open_events() as events:
            async with engine.open_exec(container, ExecSpec(argv=("echo", "x"))) as stream:
                await rest_of(stream)
            await engine.remove(container)
            with anyio.fail_after(WAIT_S):
                async for event in events:
                    if event.id == container:
                        assert not event.action.startswith("exec")
                        if event.action == "destroy":
                            break

    async def test_volumes_and_networks_are_told(self, engine: Engine, new_name: NewName) -> None:
        volume, network = new_name(), new_name()
        async with engine.open_events() as events:
            await engine.create_volume(volume, {})
            await engine.remove_volume(volume)
            await engine.create_network(network, {}, is_internal=True)
            await engine.remove_network(network)
            missing = {("volume", "create"), ("volume", "destroy")}
            if self.tells_networks:
                missing |= {("network", "create"), ("network", "destroy")}
            with anyio.fail_after(WAIT_S):
                async for event in events:
                    missing.discard((event.kind, event.action))
                    if not missing:
                        break
        assert not missing


class TestFakeStreams(OnFake, StreamsContract):
    """The contract on the fake."""


@pytest.mark.usefixtures("real_io_both")
class TestDockerStreams(OnDocker, StreamsContract):
    """The contract on a real engine, with both event loops."""


class TestPodmanStreams(OnPodman, StreamsContract):
    """The contract on a real Podman."""
