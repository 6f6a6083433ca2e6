"""The contract of the engine door: what was asked for is what is found, for every field, on every engine."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from support.engine_contract import Ground, NewName, OnDocker, OnFake, OnPodman
from support.images import BUSYBOX, SCRATCH

from ws_mcp.core.engine.asked import CHECKS, unmet
from ws_mcp.core.engine.model import (
    ENGINE_VARIABLES,
    BindMount,
    ContainerSpec,
    ExecSpec,
    Limits,
    Published,
    TmpfsMount,
    VolumeMount,
)
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError, ImageNotFoundError, InvalidArgumentError

MIB = 1024 * 1024
SLEEP = ("sleep", "1000")

# By what they are about; whatever is not said is left open.
SPECS = {
    "nothing": ContainerSpec(name="", image=BUSYBOX),
    "words": ContainerSpec(
        name="",
        image=BUSYBOX,
        entrypoint=("sh", "-c", "sleep 1000; echo 'a  b'", ""),
        command=("x y", "", "z"),
        user="1000:1000",
        working_dir="/tmp/deep/er",
        environment={"A": "1", "B": "x=y z", "C": "zwölf", "D": "", "HOME": "/tmp", "PATH": "/bin", "TERM": "dumb"},
        labels={"test.a": "1", "test.b": "ä b=c", "test.c": ""},
    ),
    "a cleared entrypoint": ContainerSpec(name="", image=BUSYBOX, entrypoint=(), command=SLEEP, working_dir="/"),
    "a command alone": ContainerSpec(name="", image=BUSYBOX, command=SLEEP, user="dev"),
    "mounts": ContainerSpec(
        name="",
        image=BUSYBOX,
        mounts=(
            BindMount(source="/usr", target="/host/usr", is_read_only=True),
            BindMount(source="/tmp", target="/host/tmp"),
            TmpfsMount(target="/t1", options="size=1m"),
            TmpfsMount(target="/t2", options="size=2m,exec,mode=700"),
            TmpfsMount(target="/t3", options="size=64m,noexec,nosuid,nodev,mode=1777"),
            TmpfsMount(target="/t4", options=""),
        ),
    ),
    "a read-only root": ContainerSpec(
        name="",
        image=BUSYBOX,
        is_read_only=True,
        mounts=(TmpfsMount(target="/tmp", options="size=64m,noexec,nosuid,nodev,mode=1777"),),
    ),
    "a read-only root alone": ContainerSpec(name="", image=BUSYBOX, is_read_only=True),
    "ports": ContainerSpec(
        name="",
        image=BUSYBOX,
        published=(
            Published(container_port=8080),
            Published(container_port=53, protocol="udp"),
            Published(container_port=9090, host_port=39090),
        ),
    ),
    "limits": ContainerSpec(
        name="",
        image=BUSYBOX,
        limits=Limits(memory_bytes=64 * MIB, cpus=0.33, pids=50, shm_bytes=8 * MIB, nofile=512),
        log_max_bytes=10 * MIB,
    ),
    "tier 1": ContainerSpec(name="", image=BUSYBOX, network="none", cap_drop=("ALL",), user="65532:65532"),
    "tier 2": ContainerSpec(
        name="",
        image=BUSYBOX,
        cap_drop=("NET_RAW", "MKNOD", "SETFCAP", "AUDIT_WRITE"),
        security_options=("no-new-privileges",),
        restart="unless-stopped",
    ),
    "few capabilities": ContainerSpec(name="", image=BUSYBOX, cap_drop=("ALL",), cap_add=("CHOWN", "NET_ADMIN")),
    "more capabilities": ContainerSpec(
        name="",
        image=BUSYBOX,
        cap_add=("SYS_PTRACE", "CAP_NET_ADMIN"),
        security_options=("seccomp=unconfined", "no-new-privileges:true"),
        restart="on-failure",
    ),
    "the host's processes": ContainerSpec(name="", image=BUSYBOX, pid_mode="host"),
    "privileges": ContainerSpec(name="", image=BUSYBOX, is_privileged=True, pid_mode="host"),
}


class AskedContract(Ground):
    """A container is found as it was asked for, before its first start and after."""

    def test_no_field_is_left_out(self) -> None:
        assert set(CHECKS) == {field.name for field in fields(ContainerSpec)}

    @pytest.mark.parametrize("about", SPECS)
    async def test_what_was_asked_for_is_found(self, engine: Engine, new_name: NewName, about: str) -> None:
        container = await engine.create(replace(SPECS[about], name=(name := new_name())))
        found = await engine.inspect(container)
        assert unmet(replace(SPECS[about], name=name), found) == ()

    async def test_what_was_asked_for_is_found_while_it_runs_and_after(self, engine: Engine, new_name: NewName) -> None:
        network, volume = new_name(), new_name()
        await engine.create_network(network, {}, is_internal=False)
        spec = ContainerSpec(
            name=new_name(),
            image=BUSYBOX,
            command=SLEEP,
            mounts=(
                VolumeMount(volume=volume, target="/data"),
                VolumeMount(volume=volume, target="/ro", is_read_only=True, copies_image_content=False),
                TmpfsMount(target="/scratch", options="size=1m"),
            ),
            published=(Published(container_port=80),),
            limits=Limits(memory_bytes=64 * MIB, cpus=0.5, pids=50, shm_bytes=8 * MIB, nofile=512),
            network=network,
            network_aliases=("web", "a-1.b"),
            is_read_only=True,
            cap_drop=("NET_RAW", "MKNOD"),
            security_options=("no-new-privileges",),
            log_max_bytes=MIB,
        )
        container = await engine.create(spec)
        assert unmet(spec, await engine.inspect(container)) == ()
        await engine.start(container)
        running = await engine.inspect(container)
        assert unmet(spec, running) == ()
        assert running.networks == (network,)
        assert running.network_aliases == ("a-1.b", "web")
        await engine.stop(container, 0)
        assert unmet(spec, await engine.inspect(container)) == ()

    async def test_what_is_not_as_asked_for_is_seen(self, engine: Engine, new_name: NewName) -> None:
        spec = replace(SPECS["tier 2"], name=new_name(), published=(Published(container_port=80),))
        found = await engine.inspect(await engine.create(spec))
        for change, field in (
            (replace(spec, name="other"), "name"),
            (replace(spec, image=SCRATCH), "image"),
            (replace(spec, entrypoint=("x",)), "entrypoint"),
            (replace(spec, command=("x",)), "command"),
            (replace(spec, user="1"), "user"),
            (replace(spec, working_dir="/x"), "working_dir"),
            (replace(spec, environment={"A": "1"}), "environment"),
            (replace(spec, labels={"x": "y"}), "labels"),
            (replace(spec, mounts=(TmpfsMount(target="/x", options=""),)), "mounts"),
            (replace(spec, published=()), "published"),
            (replace(spec, published=(Published(container_port=80, host_port=1),)), "published"),
            (replace(spec, limits=Limits(cpus=0.1)), "limits"),
            (replace(spec, limits=Limits(memory_bytes=MIB)), "limits"),
            (replace(spec, network="none"), "network"),
            (replace(spec, network_aliases=("x",)), "network_aliases"),
            (replace(spec, is_read_only=True), "is_read_only"),
            (replace(spec, is_privileged=True), "is_privileged"),
            (replace(spec, cap_drop=("NET_RAW",)), "cap_drop"),
            (replace(spec, cap_add=("SYS_ADMIN",)), "cap_add"),
            (replace(spec, security_options=()), "security_options"),
            (replace(spec, pid_mode="host"), "pid_mode"),
            (replace(spec, restart="no"), "restart"),
        ):
            assert field in unmet(change, found)

    async def test_only_an_engines_own_variables_come_by_themselves(self, engine: Engine, new_name: NewName) -> None:
        spec = ContainerSpec(name=new_name(), image=BUSYBOX, command=SLEEP, environment={"A": "1"}, network="none")
        container = await engine.create(spec)
        await engine.start(container)
        found, image = await engine.inspect(container), await engine.image(BUSYBOX)
        assert set(found.environment) - {"A"} - set(image.environment) <= ENGINE_VARIABLES

    async def test_how_much_is_logged_is_found(self, engine: Engine, new_name: NewName) -> None:
        found = await engine.inspect(await engine.create(replace(SPECS["limits"], name=new_name())))
        assert found.log_max_bytes == (10 * MIB if self.tells_log_bounds else None)

    async def test_an_image_may_be_named_by_its_id(self, engine: Engine, new_name: NewName) -> None:
        image = await engine.image(BUSYBOX)
        spec = ContainerSpec(name=new_name(), image=image.id)
        found = await engine.inspect(await engine.create(spec))
        assert found.image_id == image.id
        assert unmet(spec, found) == ()

    async def test_a_container_is_for_the_platform_asked_for_or_not_made(
        self, engine: Engine, new_name: NewName
    ) -> None:
        own = (await engine.info()).architecture
        other = "arm64" if own == "amd64" else "amd64"
        spec = ContainerSpec(name=new_name(), image=BUSYBOX, platform=f"linux/{own}")
        assert await engine.create(spec)
        with pytest.raises(ImageNotFoundError, match=f"linux/{other}"):
            await engine.create(replace(spec, name=new_name(), platform=f"linux/{other}"))
        with pytest.raises(InvalidArgumentError, match="platform"):
            await engine.create(replace(spec, name=new_name(), platform="--all"))

    async def test_a_runtime_that_is_not_there_is_refused(self, engine: Engine, new_name: NewName) -> None:
        spec = ContainerSpec(name=new_name(), image=BUSYBOX, runtime="no-such-runtime")
        with pytest.raises(EngineError if self.has_runtimes else InvalidArgumentError, match="runtime"):
            await engine.create(spec)

    @pytest.mark.parametrize(
        "spec",
        [
            ContainerSpec(name="", image=BUSYBOX, restart="always"),
            ContainerSpec(name="", image=BUSYBOX, pid_mode="container:x"),
            ContainerSpec(name="", image=BUSYBOX, network_aliases=("x",)),
            ContainerSpec(name="", image=BUSYBOX, network="n", network_aliases=("x y",)),
        ],
        ids=lambda spec: str(spec.restart + spec.pid_mode + " ".join(spec.network_aliases)),
    )
    async def test_what_is_not_offered_is_refused(self, engine: Engine, new_name: NewName, spec: ContainerSpec) -> None:
        with pytest.raises(InvalidArgumentError):
            await engine.create(replace(spec, name=new_name()))


class MountsContract(Ground):
    """What a container sees of the host; nobody but a real engine can say."""

    async def test_what_is_mounted_below_a_bind_is_not_seen(self, engine: Engine, new_name: NewName) -> None:
        spec = ContainerSpec(
            name=new_name(),
            image=BUSYBOX,
            command=SLEEP,
            mounts=(BindMount(source="/dev", target="/host", is_read_only=True),),
            network="none",
        )
        container = await engine.create(spec)
        await engine.start(container)
        # /dev/pts is a mount of its own on every Linux machine, and never empty.
        assert await self.output(engine, spec.name, "ls /host/null /host/pts") == "/host/null\n\n/host/pts:\n"

    async def test_a_container_has_the_files_limit_asked_for(self, engine: Engine, new_name: NewName) -> None:
        spec = ContainerSpec(name=new_name(), image=BUSYBOX, command=SLEEP, limits=Limits(nofile=512), network="none")
        await engine.start(await engine.create(spec))
        assert await self.output(engine, spec.name, "ulimit -n") == "512\n"

    async def test_memory_file_systems_are_as_the_request_says(self, engine: Engine, new_name: NewName) -> None:
        spec = replace(SPECS["mounts"], name=new_name(), command=SLEEP, network="none")
        await engine.start(await engine.create(spec))
        mounted = {
            line.split()[1]: line
            for line in (await self.output(engine, spec.name, "mount -t tmpfs | cut -d' ' -f2-")).splitlines()
        }
        for mount in spec.mounts:
            if isinstance(mount, TmpfsMount):
                options = mounted[mount.target]
                assert ("noexec" in options) is ("noexec" in mount.effect)
                assert "nosuid,nodev" in options

    async def output(self, engine: Engine, name: str, command: str) -> str:
        container = (await engine.inspect(name)).id
        async with engine.open_exec(container, ExecSpec(argv=("sh", "-c", command))) as stream:
            return b"".join([chunk async for chunk in stream]).decode()


class TestFakeAsked(OnFake, AskedContract):
    """The contract on the fake."""


class TestDockerAsked(OnDocker, AskedContract, MountsContract):
    """The contract on a real engine."""


class TestPodmanAsked(OnPodman, AskedContract, MountsContract):
    """The contract on a real Podman."""
