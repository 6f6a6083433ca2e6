"""What a person sees who sweeps a real engine, and what is on it afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest
from support.images import BUSYBOX
from support.our_objects import SCOPE, container_spec, labels, place_of
from support.peers import server_environment
from support.real_engine import EngineGround

from ws_mcp.core.clock import utc_now
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.model import VolumeMount
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.known_chats import ChatRecord, KnownChats
from ws_mcp.core.state import State, open_state
from ws_mcp.core.workspaces import naming

BOUND_S = 60.0


@dataclass
class Made:
    """An instance that has a whole workspace, and of another what is left when somebody removed its container."""

    engine: DockerEngine
    state: State
    address: str

    async def make(self) -> None:
        await KnownChats(self.state, utc_now).remember(
            ChatRecord(chat=SCOPE.chat, principal=SCOPE.principal, label="", created_at="")
        )
        for name in ("whole", "left"):
            place = place_of(name, SCOPE, self.state.instance)
            await self._volume(naming.configs_name(place, "d" * 64), "configs", name)
            await self._volume(naming.volume_name(place), "volume", name)
            network = naming.own_network_name(place)
            its = labels("network", network, name, SCOPE, self.state.instance)
            await self.engine.create_network(network, its, is_internal=True)
        place = place_of("whole", SCOPE, self.state.instance)
        await self.engine.start(await self._container("whole", naming.own_network_name(place)))
        await self._container("never", "none")

    async def names(self) -> set[str]:
        """All that the instance has, by what it is: `left configs`."""
        found: set[str] = set()
        mine = {naming.INSTANCE: self.state.instance.id}
        for objects in (
            await self.engine.list_containers(mine),
            await self.engine.list_volumes(mine),
            await self.engine.list_networks(mine),
        ):
            found |= {f"{each.labels[naming.WORKSPACE]} {each.labels[naming.KIND]}" for each in objects}
        return found

    async def sweep(self, *arguments: str) -> tuple[int, str]:
        argv = (sys.executable, "-m", "ws_mcp", "sweep", "--state", str(self.state.directory), *arguments)
        flags = ("--engine", self.address) if self.address else ()
        with anyio.fail_after(BOUND_S):
            done = await anyio.run_process(
                (*argv, *flags), check=False, stderr=subprocess.STDOUT, env={**os.environ, **server_environment()}
            )
        return done.returncode, done.stdout.decode()

    async def clear(self) -> None:
        mine = {naming.INSTANCE: self.state.instance.id}
        for container in await self.engine.list_containers(mine):
            await self.engine.remove(container.id)
        for volume in await self.engine.list_volumes(mine):
            await self.engine.remove_volume(volume.name)
        for network in await self.engine.list_networks(mine):
            await self.engine.remove_network(network.name)

    async def _volume(self, name: str, kind: str, workspace: str) -> None:
        await self.engine.create_volume(name, labels(kind, name, workspace, SCOPE, self.state.instance))

    async def _container(self, name: str, network: str) -> ContainerId:
        place = place_of(name, SCOPE, self.state.instance)
        spec = container_spec(name, SCOPE, self.state.instance, network)
        mounts = (VolumeMount(volume=naming.volume_name(place), target="/workspace"),) if name == "whole" else ()
        return await self.engine.create(replace(spec, image=BUSYBOX, command=("sleep", "1000"), mounts=mounts))


@asynccontextmanager
async def open_made(ground: EngineGround, path: Path) -> AsyncGenerator[Made]:
    engine = DockerEngine(ground.address)
    async with open_state(path / "state") as state:
        made = Made(engine, state, ground.address)
        try:
            await made.make()
            yield made
        finally:
            with anyio.CancelScope(shield=True):
                await made.clear()
                await engine.aclose()


WHOLE = {"whole container", "whole configs", "whole volume", "whole network"}


async def sweeps(ground: EngineGround, path: Path) -> None:
    """The claim, for each engine."""
    async with open_made(ground, path) as made:
        before = await made.names()
        assert before == WHOLE | {"left configs", "left volume", "left network", "never container"}
        code, said = await made.sweep("--older-than", "0s")
        assert (code, await made.names()) == (0, before), said
        assert "3 would be removed; nothing was" in said
        assert "it was created and never started" in said
        code, said = await made.sweep("--apply")
        # Only the network has no age.
        assert (code, await made.names()) == (0, before - {"left network"}), said
        code, said = await made.sweep("--apply", "--older-than", "0s", "--prefix", "ne")
        assert (code, await made.names()) == (0, before - {"left network", "never container"}), said
        code, said = await made.sweep("--apply", "--older-than", "0s")
        assert (code, await made.names()) == (0, WHOLE | {"left volume"}), said
        code, said = await made.sweep("--apply", "--older-than", "0s", "--data")
        assert (code, await made.names()) == (0, WHOLE), said
        code, said = await made.sweep("--apply", "--older-than", "0s", "--data")
        assert said.endswith("Nothing belongs to nobody: there is nothing to sweep.\n")
        assert code == 0


async def test_a_sweep_removes_what_is_nobodys_and_leaves_a_workspace_whole(
    engine_ground: EngineGround, tmp_path: Path
) -> None:
    await sweeps(engine_ground, tmp_path)


@pytest.mark.long
async def test_the_same_on_podman(podman_ground: EngineGround, tmp_path: Path) -> None:
    await sweeps(podman_ground, tmp_path)


@pytest.mark.usefixtures("real_io")
async def test_with_an_engine_that_does_not_answer_nothing_is_removed_and_that_is_said(tmp_path: Path) -> None:
    async with open_state(tmp_path / "state") as state:
        made = Made(DockerEngine("unix:///nowhere/engine.sock"), state, "unix:///nowhere/engine.sock")
        code, said = await made.sweep("--apply")
    assert code == 1
    assert said.splitlines()[-1].startswith("ws-mcp: no container engine answers")
