"""The contract of the engine door: containers. One suite, run unchanged on the fake and on real engines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.engine_contract import NewName, OnDocker, OnFake, OnPodman, ended, sleeper
from support.images import BUSYBOX

from ws_mcp.core.engine.model import ContainerSpec, ContainerState, ExecSpec, Limits, Published, TmpfsMount, VolumeMount
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineConflictError, EngineNotFoundError, ImageNotFoundError, InvalidArgumentError
from ws_mcp.core.ids import ContainerId

NOBODYS = ContainerId("0" * 64)
MIB = 1024 * 1024


class EngineContract:
    """Containers: made as asked for, found, started, stopped, removed."""

    async def test_the_engine_says_who_it_is(self, engine: Engine) -> None:
        info, again = await engine.info(), await engine.info()
        assert info.engine_id == again.engine_id
        assert info.told_at is not None
        assert again.told_at is not None
        assert info.told_at <= again.told_at
        assert min(info.cpus, info.memory_bytes, info.storage_bytes) > 0
        assert info.kind in ("docker", "podman")
        assert info.architecture in ("amd64", "arm64")
        assert info.version
        assert info.endpoint

    async def test_a_container_is_made_as_asked_for(self, engine: Engine, new_name: NewName) -> None:
        volume = (await engine.create_volume(new_name(), {})).name
        spec = ContainerSpec(
            name=new_name(),
            image=BUSYBOX,
            entrypoint=("sleep",),
            command=("1000",),
            user="1000:1000",
            working_dir="/tmp",
            environment={"A": "1", "B": "x=y z", "C": "zwölf"},
            labels={"test.a": "1", "test.b": "ä b=c"},
            mounts=(
                VolumeMount(volume=volume, target="/data"),
                VolumeMount(volume=volume, target="/ro", is_read_only=True),
                TmpfsMount(target="/scratch", options="size=1m,noexec"),
            ),
            limits=Limits(memory_bytes=64 * MIB, cpus=0.5, pids=50, shm_bytes=8 * MIB, nofile=512),
            network="none",
            is_read_only=True,
            cap_drop=("NET_RAW", "MKNOD"),
            security_options=("no-new-privileges",),
            log_max_bytes=MIB,
        )
        container = await engine.create(spec)
        assert len(container) == 64
        found = await engine.inspect(container)
        assert found == await engine.inspect(spec.name)
        assert (found.id, found.name, found.state) == (container, spec.name, ContainerState.CREATED)
        assert found.image.endswith(BUSYBOX)
        assert (found.entrypoint, found.command, found.user) == (("sleep",), ("1000",), "1000:1000")
        assert found.working_dir == "/tmp"
        assert found.environment.items() >= spec.environment.items()
        assert found.labels.items() >= spec.labels.items()
        assert {m for m in found.mounts if isinstance(m, VolumeMount)} == set(spec.mounts[:2])
        (tmpfs,) = (m for m in found.mounts if isinstance(m, TmpfsMount) and m.target == "/scratch")
        assert set(tmpfs.options.split(",")) >= {"size=1m", "noexec"}
        assert found.limits == spec.limits
        assert found.network == "none"
        assert found.is_read_only
        assert not found.is_privileged
        assert set(found.cap_drop) >= {"NET_RAW", "MKNOD"}
        assert "no-new-privileges" in found.security_options
        assert (found.started_at, found.finished_at, found.exit_code) == (None, None, None)

    async def test_an_image_gives_what_the_request_leaves_open(self, engine: Engine, new_name: NewName) -> None:
        container = await engine.create(ContainerSpec(name=new_name(), image=BUSYBOX))
        assert (await engine.inspect(container)).command == ("sh",)
        other = await engine.create(ContainerSpec(name=new_name(), image=BUSYBOX, entrypoint=("sleep",), command=()))
        found = await engine.inspect(other)
        assert (found.entrypoint, found.command) == (("sleep",), ())

    async def test_a_taken_name_is_a_conflict_and_its_owner_stays(self, engine: Engine, new_name: NewName) -> None:
        name = new_name()
        container = await engine.create(ContainerSpec(name=name, image=BUSYBOX))
        with pytest.raises(EngineConflictError, match="in use"):
            await engine.create(ContainerSpec(name=name, image=BUSYBOX, command=("true",)))
        assert (await engine.inspect(name)).id == container

    async def test_a_missing_image_is_named_with_the_way_to_it(self, engine: Engine, new_name: NewName) -> None:
        with pytest.raises(
            ImageNotFoundError, match=r"pull nobody/has-this:9.*build -t nobody/has-this:9 .*wsmcp-test"
        ):
            await engine.create(ContainerSpec(name=new_name(), image="nobody/has-this:9"))
        with pytest.raises(ImageNotFoundError, match="pull nobody/has-this"):
            await engine.image("nobody/has-this")

    async def test_an_unknown_container_is_not_found(self, engine: Engine, new_name: NewName) -> None:
        for name in (NOBODYS, new_name()):
            with pytest.raises(EngineNotFoundError):
                await engine.inspect(name)
        with pytest.raises(EngineNotFoundError):
            await engine.start(NOBODYS)
        with pytest.raises(EngineNotFoundError):
            await engine.stop(NOBODYS, 0)
        with pytest.raises(EngineNotFoundError):
            await engine.put_archive(NOBODYS, "/tmp", b"\0" * 10240)
        with pytest.raises(EngineNotFoundError):
            await engine.get_archive(NOBODYS, "/tmp", 1000)
        with pytest.raises(EngineNotFoundError):
            async with engine.open_exec(NOBODYS, ExecSpec(argv=("cat",))):
                pass
        await engine.remove(NOBODYS)

    async def test_the_beginning_of_an_id_finds_nothing(self, engine: Engine, new_name: NewName) -> None:
        container = await engine.create(ContainerSpec(name=new_name(), image=BUSYBOX))
        with pytest.raises(EngineNotFoundError):
            await engine.inspect(container[:12])

    async def test_starting_and_stopping_twice_is_no_error(self, engine: Engine, new_name: NewName) -> None:
        container = await sleeper(engine, new_name())
        await engine.start(container)
        running = await engine.inspect(container)
        assert running.state is ContainerState.RUNNING
        assert running.started_at is not None
        assert running.exit_code is None
        await engine.stop(container, 0)
        await engine.stop(container, 0)
        stopped = await engine.inspect(container)
        assert (stopped.state, stopped.exit_code) == (ContainerState.EXITED, 137)
        assert stopped.finished_at is not None
        assert stopped.finished_at >= running.started_at
        await engine.start(container)
        assert (await engine.inspect(container)).state is ContainerState.RUNNING

    @pytest.mark.parametrize(("command", "code"), [("true", 0), ("false", 1)])
    async def test_a_command_that_ends_leaves_its_exit_code(
        self, engine: Engine, new_name: NewName, command: str, code: int
    ) -> None:
        container = await engine.create(
            ContainerSpec(name=new_name(), image=BUSYBOX, command=(command,), network="none")
        )
        await engine.start(container)
        assert (await ended(engine, container)).exit_code == code

    async def test_a_listing_holds_what_carries_all_labels(self, engine: Engine, new_name: NewName) -> None:
        key = f"test.{new_name()}"
        one = await engine.create(ContainerSpec(name=new_name(), image=BUSYBOX, labels={key: "1", "test.k": "a=b"}))
        two = await engine.create(ContainerSpec(name=new_name(), image=BUSYBOX, labels={key: "2"}))
        assert {c.id for c in await engine.list_containers({key: ""})} == {one, two}
        assert {c.id for c in await engine.list_containers({key: "1"})} == {one}
        assert {c.id for c in await engine.list_containers({key: "1", "test.k": "a=b"})} == {one}
        assert await engine.list_containers({key: "1", "test.k": "a"}) == ()

    async def test_a_listing_says_what_inspect_says(self, engine: Engine, new_name: NewName) -> None:
        key = f"test.{new_name()}"
        spec = ContainerSpec(
            name=new_name(),
            image=BUSYBOX,
            command=("sleep", "1000"),
            labels={key: "1"},
            mounts=(VolumeMount(volume=new_name(), target="/data"),),
            published=(Published(container_port=8080),),
        )
        await engine.start(await engine.create(spec))
        (listed,) = await engine.list_containers({key: "1"})
        found = await engine.inspect(spec.name)
        assert (listed.id, listed.name, listed.state) == (found.id, found.name, found.state)
        assert (listed.labels, listed.published, listed.mounts) == (found.labels, found.published, found.mounts)
        assert (listed.image, listed.image_id) == (found.image, found.image_id)
        assert abs(listed.created_at - found.created_at).total_seconds() <= 1

    async def test_a_published_port_has_its_address_at_once(self, engine: Engine, new_name: NewName) -> None:
        ports = (Published(container_port=8080), Published(container_port=53, protocol="udp"))
        spec = ContainerSpec(name=new_name(), image=BUSYBOX, command=("sleep", "1000"), published=ports)
        container = await engine.create(spec)
        before = (await engine.inspect(container)).published
        assert {replace(port, host_port=0) for port in before} == set(ports)
        await engine.start(container)
        published = (await engine.inspect(container)).published
        assert {(p.container_port, p.protocol, p.host_ip) for p in published} == {
            (8080, "tcp", "127.0.0.1"),
            (53, "udp", "127.0.0.1"),
        }
        assert all(port.host_port >= 1024 for port in published)

    async def test_a_port_on_every_address_is_refused(self, engine: Engine, new_name: NewName) -> None:
        spec = ContainerSpec(name=new_name(), image=BUSYBOX, published=(Published(container_port=80, host_ip=""),))
        with pytest.raises(InvalidArgumentError, match="port 80"):
            await engine.create(spec)

    async def test_removing_ends_what_runs_and_keeps_named_volumes(self, engine: Engine, new_name: NewName) -> None:
        volume = new_name()
        mounts = (VolumeMount(volume=volume, target="/data"),)
        spec = ContainerSpec(name=new_name(), image=BUSYBOX, command=("sleep", "1000"), mounts=mounts, network="none")
        container = await engine.create(spec)
        await engine.start(container)
        await engine.remove(container)
        await engine.remove(container)
        with pytest.raises(EngineNotFoundError):
            await engine.inspect(container)
        assert (await engine.inspect_volume(volume)).name == volume
        await engine.remove_volume(volume)

    @pytest.mark.parametrize(
        "name", ["", "-v", "--privileged", "../x", "a/b", "a b", "ä", ".a", "x" * 300, "a\n", "a\0"]
    )
    async def test_a_name_that_is_none_reaches_no_engine(self, engine: Engine, name: str) -> None:
        with pytest.raises(InvalidArgumentError):
            await engine.inspect(name)
        with pytest.raises(InvalidArgumentError):
            await engine.create(ContainerSpec(name=name, image=BUSYBOX))
        with pytest.raises(InvalidArgumentError):
            await engine.create_volume(name, {})
        with pytest.raises(InvalidArgumentError):
            await engine.remove_network(name)
        with pytest.raises(InvalidArgumentError):
            await engine.start(ContainerId(name))

    @pytest.mark.parametrize(
        "image", ["", "-v/:/x", "--rm", "UPPER", "a b", "a//b", "a:b:c", "a\0", "x" * 600, "a@sha256:1"]
    )
    async def test_an_image_reference_that_is_none_is_refused(
        self, engine: Engine, new_name: NewName, image: str
    ) -> None:
        with pytest.raises(InvalidArgumentError):
            await engine.image(image)
        with pytest.raises(InvalidArgumentError):
            await engine.create(ContainerSpec(name=new_name(), image=image))

    @pytest.mark.parametrize("text", ["a\0b", "\ud800"])
    async def test_text_that_cannot_be_sent_is_refused(self, engine: Engine, new_name: NewName, text: str) -> None:
        for spec in (
            ContainerSpec(name=new_name(), image=BUSYBOX, command=(text,)),
            ContainerSpec(name=new_name(), image=BUSYBOX, environment={"A": text}),
            ContainerSpec(name=new_name(), image=BUSYBOX, labels={"a": text}),
        ):
            with pytest.raises(InvalidArgumentError):
                await engine.create(spec)


class TestFakeEngine(OnFake, EngineContract):
    """The contract on the fake."""


class TestDockerEngine(OnDocker, EngineContract):
    """The contract on a real engine."""


class TestPodmanEngine(OnPodman, EngineContract):
    """The contract on a real Podman."""
