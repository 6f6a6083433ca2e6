"""The contract of the engine door: the life of a container beside start and stop, and what is known of it."""

from __future__ import annotations

import anyio
import pytest
from support.engine_contract import Ground, NewName, OnDocker, OnFake, OnPodman, ended, sleeper
from support.images import BUSYBOX, Tree

from ws_mcp.core.engine.model import ContainerSpec, ContainerState, ExecSpec, Limits, VolumeMount
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineConflictError, EngineNotFoundError, InvalidArgumentError
from ws_mcp.core.ids import ContainerId

NOBODYS = ContainerId("0" * 64)
MIB = 1024 * 1024


class LifeContract(Ground):
    """Containers are paused, renamed, read from and measured."""

    async def test_a_paused_container_does_nothing_until_it_goes_on(self, engine: Engine, new_name: NewName) -> None:
        container = await sleeper(engine, new_name())
        for _ in range(2):
            await engine.pause(container)
        assert (await engine.inspect(container)).state is ContainerState.PAUSED
        with pytest.raises(EngineConflictError):
            async with engine.open_exec(container, ExecSpec(argv=("cat",))):
                pass
        for _ in range(2):
            await engine.unpause(container)
        with anyio.fail_after(30):  # an engine may hear late that it was paused before, and then that it goes on
            while (await engine.inspect(container)).state is not ContainerState.RUNNING:  # noqa: ASYNC110 - it is asked
                await anyio.sleep(0.01)
        async with engine.open_exec(container, ExecSpec(argv=("echo", "x"))) as stream:
            assert await stream.receive() == b"x\n"

    async def test_what_does_not_run_cannot_be_paused(self, engine: Engine, new_name: NewName) -> None:
        container = await engine.create(
            ContainerSpec(name=new_name(), image=BUSYBOX, command=("sleep", "1000"), network="none")
        )
        with pytest.raises(EngineConflictError):
            await engine.pause(container)
        with pytest.raises(EngineConflictError):
            await engine.unpause(container)
        assert (await engine.inspect(container)).state is ContainerState.CREATED

    async def test_a_paused_container_is_stopped_and_removed_like_any_other(
        self, engine: Engine, new_name: NewName
    ) -> None:
        container = await sleeper(engine, new_name())
        await engine.pause(container)
        await engine.stop(container, 0)
        assert (await engine.inspect(container)).state is ContainerState.EXITED
        await engine.start(container)
        await engine.pause(container)
        await engine.remove(container)
        with pytest.raises(EngineNotFoundError):
            await engine.inspect(container)

    async def test_two_containers_change_places_by_their_names(self, engine: Engine, new_name: NewName) -> None:
        name, other, aside = new_name(), new_name(), new_name()
        old = await sleeper(engine, name)
        new = await engine.create(ContainerSpec(name=other, image=BUSYBOX, command=("sleep", "1000"), network="none"))
        with pytest.raises(EngineConflictError, match="in use"):
            await engine.rename(new, name)
        await engine.rename(old, aside)
        await engine.rename(new, name)
        assert ((await engine.inspect(name)).id, (await engine.inspect(aside)).id) == (new, old)
        with pytest.raises(EngineNotFoundError):
            await engine.inspect(other)
        assert (await engine.inspect(aside)).state is ContainerState.RUNNING
        with pytest.raises(InvalidArgumentError):
            await engine.rename(new, "--rm")

    async def test_nobodys_container_is_not_found(self, engine: Engine, new_name: NewName) -> None:
        with pytest.raises(EngineNotFoundError):
            await engine.pause(NOBODYS)
        with pytest.raises(EngineNotFoundError):
            await engine.unpause(NOBODYS)
        with pytest.raises(EngineNotFoundError):
            await engine.rename(NOBODYS, new_name())
        with pytest.raises(EngineNotFoundError):
            await engine.logs(NOBODYS, 10, 100)

    async def test_the_end_of_a_log_is_read(self, engine: Engine, new_name: NewName) -> None:
        spec = ContainerSpec(name=new_name(), image=BUSYBOX, command=("echo", "one\ntwo\nthree \x1b[1mbold\nvier ä"))
        container = await engine.create(spec)
        assert await engine.logs(container, 10, 1000) == ""
        await engine.start(container)
        await ended(engine, container)
        assert await engine.logs(container, 2, 1000) == "three \x1b[1mbold\nvier ä\n"
        assert await engine.logs(container, 100, 1000) == "one\ntwo\nthree \x1b[1mbold\nvier ä\n"
        assert await engine.logs(container, 100, 9) == "\nvier ä\n"

    async def test_a_container_has_a_process_while_it_runs(self, engine: Engine, new_name: NewName) -> None:
        name = new_name()
        container = await engine.create(
            ContainerSpec(name=name, image=BUSYBOX, command=("sleep", "1000"), network="none")
        )
        assert (await engine.inspect(name)).pid == 0
        await engine.start(container)
        assert (await engine.inspect(name)).pid > 1
        await engine.stop(container, 0)
        stopped = await engine.inspect(name)
        assert (stopped.pid, stopped.is_oom_killed) == (0, False)

    async def test_what_a_volume_holds_is_measured(self, engine: Engine, new_name: NewName) -> None:
        full, empty = new_name(), new_name()
        mounts = (VolumeMount(volume=full, target="/full"), VolumeMount(volume=empty, target="/empty"))
        container = await engine.create(ContainerSpec(name=new_name(), image=BUSYBOX, mounts=mounts))
        await engine.put_archive(container, "/full", Tree().file("f", b"x" * MIB).tar())
        usage = await engine.volume_usage()
        assert MIB <= usage[full] < 2 * MIB
        assert usage[empty] < MIB
        await engine.remove(container)
        await engine.remove_volume(full)
        assert full not in await engine.volume_usage()


class RealLifeContract(Ground):
    """What only a real engine knows."""

    async def test_a_log_has_what_was_written_to_stderr_in_its_place(self, engine: Engine, new_name: NewName) -> None:
        command = ("sh", "-c", "echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three")
        container = await engine.create(ContainerSpec(name=new_name(), image=BUSYBOX, command=command, network="none"))
        await engine.start(container)
        await ended(engine, container)
        assert await engine.logs(container, 10, 1000) == "one\ntwo\nthree\n"

    async def test_a_container_that_wants_too_much_memory_says_so(self, engine: Engine, new_name: NewName) -> None:
        # `tail` keeps all of a line that does not end.
        spec = ContainerSpec(
            name=new_name(),
            image=BUSYBOX,
            command=("sh", "-c", "exec tail </dev/zero"),
            limits=Limits(memory_bytes=16 * MIB),
            network="none",
        )
        container = await engine.create(spec)
        await engine.start(container)
        found = await ended(engine, container)
        assert found.exit_code == 137
        if self.tells_want_of_memory:
            assert found.is_oom_killed

    async def test_the_process_is_the_one_of_this_machine(self, engine: Engine, new_name: NewName) -> None:
        container = await sleeper(engine, new_name())
        command = anyio.Path(f"/proc/{(await engine.inspect(container)).pid}/cmdline")
        with anyio.fail_after(30):
            said = await command.read_bytes()
            while not said or b"runc" in said.partition(b"\0")[0]:  # which becomes it, a moment after the start is told
                said = await command.read_bytes()
        assert said == b"sleep\x001000\0"


class TestFakeLife(OnFake, LifeContract):
    """The contract on the fake."""


class TestDockerLife(OnDocker, LifeContract, RealLifeContract):
    """The contract on a real engine."""


class TestPodmanLife(OnPodman, LifeContract, RealLifeContract):
    """The contract on a real Podman."""
