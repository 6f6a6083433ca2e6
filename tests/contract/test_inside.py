"""execd in dev containers on a real engine: brought there, started as the user, found again, and said why not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest
from support.devcontainer_ground import DevcontainerGround
from support.devcontainer_values import ROOT, SHOP, metadata_label
from support.images import BUSYBOX, SCRATCH, Tree
from support.real_engine import EngineGround, LabelledEngine

from ws_mcp.core.database import Instance
from ws_mcp.core.devcontainers.allowances import Allowances
from ws_mcp.core.devcontainers.inside import ExecdInside
from ws_mcp.core.devcontainers.merged import clear
from ws_mcp.core.devcontainers.model import Record
from ws_mcp.core.engine.model import ContainerSpec, ContainerState, VolumeMount
from ws_mcp.core.errors import PlaceUnavailableError
from ws_mcp.core.execd.binaries import binary
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.delivery import ExecdVolumes
from ws_mcp.core.execd.dial import dial_through
from ws_mcp.core.execd.places import PlaceAddress, open_places
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.state import State, open_state
from ws_mcp.core.workspaces.naming import secret_of

WAIT_S = 60
ALLOWED = Allowances(roots=(ROOT,))


@dataclass(kw_only=True)
class Site:
    """A real engine, a state directory, and what brings execd into containers."""

    engine: LabelledEngine
    state: State
    name: Callable[[], str]

    def inside(self) -> ExecdInside:
        return ExecdInside(self.engine, self.state, "test", {})

    async def run(self, spec: ContainerSpec) -> ContainerId:
        container = await self.engine.create(spec)
        await self.engine.start(container)
        return container

    async def sleeper(self, *, user: str = "", **more: object) -> ContainerId:
        spec = ContainerSpec(name=self.name(), image=BUSYBOX, command=("sleep", "1000"), network="none", user=user)
        return await self.run(replace(spec, **more))

    async def volume(self) -> VolumeMount:
        program = binary("linux", (await self.engine.info()).architecture)
        volume = await ExecdVolumes(self.engine, self.state).ensure(program)
        return VolumeMount(volume=volume, target="/.ws-mcp", is_read_only=True)

    async def arrive(self, container: ContainerId, *, user: str = "", path: str = "") -> PlaceAddress:
        record = Record(container=container, key=SHOP, parts={}, user=user, path=path)
        return await self.inside().arrive(clear(await self.engine.inspect(container), record, ALLOWED), record)

    @asynccontextmanager
    async def client(self, address: PlaceAddress) -> AsyncGenerator[ExecdClient]:
        def secret(place: str) -> str:
            return secret_of(self.state.instance.key, address.place)

        async with open_places(dial_through(self.engine), secret, "test", lambda _place, _event: None) as places:
            yield await places.client(address)

    async def said(self, address: PlaceAddress, shell: str) -> list[str]:
        """What a process in there says."""
        async with self.client(address) as client:
            wait = {"until": "exit", "timeout_ms": 20_000}
            fields = {
                "process": "p_1",
                "chat": "c",
                "digest": "d",
                "shell": shell,
                "first": {"limit": 65536, "wait": wait},
            }
            reply = await client.call("start", fields, timeout_s=30)
            return reply.body.decode().splitlines()

    async def boot(self, address: PlaceAddress) -> str:
        async with self.client(address) as client:
            return client.boot


@pytest.fixture
async def site(docker_engine: LabelledEngine, engine_ground: EngineGround, tmp_path: Path) -> AsyncGenerator[Site]:
    async with open_state(tmp_path / "state") as state:
        with anyio.fail_after(WAIT_S):
            yield Site(engine=docker_engine, state=state, name=engine_ground.name)


PROFILE = Tree().file("etc/profile", b"export FROM_PROFILE=yes\nexport PATH=/profile/bin:/bin\necho welcome\n").tar()
SAY = "id -un; pwd; echo $FROM_PROFILE; echo $EXTRA; echo $PATH"


async def test_processes_run_as_the_user_in_its_folder_with_the_environment_of_its_shell(site: Site) -> None:
    labels = metadata_label({"remoteEnv": {"EXTRA": "${containerEnv:BASE}/x:${containerWorkspaceFolder}"}})
    environment = {"BASE": "b", "PATH": "/image/bin:/bin"}
    container = await site.sleeper(user="root", labels=labels, environment=environment)
    await site.engine.put_archive(container, "/", PROFILE)
    address = await site.arrive(container, user="dev", path="/home/dev")
    assert await site.said(address, SAY) == [
        "dev",
        "/home/dev",
        "yes",
        "b/x:/home/dev",
        "/image/bin:/profile/bin:/bin",
    ]


@pytest.mark.parametrize("probe", ["none", "interactiveShell"])
async def test_a_definition_that_does_not_ask_a_login_shell_gets_none(site: Site, probe: str) -> None:
    container = await site.sleeper(labels=metadata_label({"userEnvProbe": probe}))
    await site.engine.put_archive(container, "/", PROFILE)
    assert (await site.said(await site.arrive(container), SAY))[:3] == ["root", "/", ""]


async def test_a_second_arrival_finds_the_first(site: Site) -> None:
    container = await site.sleeper()
    first = await site.arrive(container, user="dev")
    boot = await site.boot(first)
    assert await site.arrive(container, user="dev") == first
    assert await site.boot(first) == boot


async def test_servers_that_arrive_at_once_find_one_execd(site: Site) -> None:
    container = await site.sleeper()
    addresses: list[PlaceAddress] = []

    async def arrive() -> None:
        addresses.append(await site.arrive(container))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(arrive)
    assert len(set(addresses)) == 1
    await site.boot(addresses[0])


async def test_a_container_that_restarted_is_arrived_at_again(site: Site) -> None:
    container = await site.sleeper(mounts=(await site.volume(),))
    boot = await site.boot(await site.arrive(container))
    await site.engine.stop(container, 0)
    await site.engine.start(container)
    assert await site.boot(await site.arrive(container)) != boot


async def test_a_container_that_others_made_and_restarted_is_arrived_at_again(site: Site) -> None:
    container = await site.sleeper()
    boot = await site.boot(await site.arrive(container))
    await site.engine.stop(container, 0)
    await site.engine.start(container)
    assert await site.boot(await site.arrive(container)) != boot


async def test_a_read_only_root_is_no_hindrance_where_execd_is_mounted(site: Site) -> None:
    container = await site.sleeper(is_read_only=True, mounts=(await site.volume(),))
    address = await site.arrive(container, user="dev", path="/home/dev")
    assert (await site.said(address, SAY))[:2] == ["dev", "/home/dev"]


async def test_a_read_only_root_without_execd_is_said(site: Site) -> None:
    container = await site.sleeper(is_read_only=True)
    with pytest.raises(PlaceUnavailableError, match=r"root is read-only.*recreate_devcontainer"):
        await site.arrive(container)


async def test_an_image_without_a_shell_is_no_hindrance(site: Site) -> None:
    argv = ("/.ws-mcp/execd", "serve", "--dir", "/dev/shm/main", "--place", "main")
    container = await site.run(
        ContainerSpec(
            name=site.name(),
            image=SCRATCH,
            entrypoint=argv,
            network="none",
            environment={"WSMCP_VERIFIER": "0" * 64},
            mounts=(await site.volume(),),
        )
    )
    address = await site.arrive(container)
    async with site.client(address) as client:
        assert client.hello.place == address.place


async def test_what_another_instance_mounted_is_not_used(site: Site) -> None:
    theirs = VolumeMount(volume=site.name(), target="/.ws-mcp", is_read_only=True)
    container = await site.sleeper(mounts=(theirs,))
    address = await site.arrive(container)
    assert address.binary.startswith(f"/.ws-mcp-{site.state.instance.id}/")
    assert await site.said(address, "id -un") == ["root"]


async def test_an_execd_of_another_secret_is_left_alone(site: Site) -> None:
    container = await site.sleeper()
    ours = await site.arrive(container)
    boot, instance = await site.boot(ours), site.state.instance
    site.state.instance = Instance(id=instance.id, key=b"another" * 5)
    with pytest.raises(PlaceUnavailableError, match="another instance"):
        await site.arrive(container)
    site.state.instance = instance
    assert await site.boot(ours) == boot


async def test_a_folder_that_is_missing_is_no_hindrance(site: Site) -> None:
    container = await site.sleeper()
    assert await site.said(await site.arrive(container, path="/no/such/folder"), "pwd") == ["/"]


async def test_a_user_that_is_missing_is_said(site: Site) -> None:
    container = await site.sleeper()
    with pytest.raises(PlaceUnavailableError, match="nobody-such"):
        await site.arrive(container, user="nobody-such")


async def test_a_container_that_is_paused_or_stopped_is_said(site: Site) -> None:
    container = await site.sleeper()
    await site.engine.pause(container)
    with pytest.raises(PlaceUnavailableError, match="paused"):
        await site.arrive(container)
    await site.engine.stop(container, 0)
    assert (await site.engine.inspect(container)).state is ContainerState.EXITED
    with pytest.raises(PlaceUnavailableError, match="does not run"):
        await site.arrive(container)


async def test_a_person_of_debian_has_what_its_shell_files_set(
    site: Site, devcontainer_ground: DevcontainerGround
) -> None:
    container = await site.sleeper(image=await devcontainer_ground.make_userland())
    files = Tree().file("home/dev/.bash_profile", b"export LOGIN=1\n. ~/.bashrc\n", owner=1000)
    files.file("home/dev/.bashrc", b'case $- in *i*) export FROM_RC="a  b\nc" ;; esac\n', owner=1000)
    await site.engine.put_archive(container, "/", files.tar())
    address = await site.arrive(container, user="dev", path="/home/dev")
    said = await site.said(address, 'id -un; pwd; echo $LOGIN; echo "$FROM_RC"; echo $HOME')
    assert said == ["dev", "/home/dev", "1", "a  b", "c", "/home/dev"]
