"""Brings execd into containers: by a read-only volume where we create them, by an archive where others did.

The volume is filled once per engine and execd version.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Mapping

import anyio
import anyio.to_thread

from ws_mcp.core.engine.fill import file_entry, fill_volume, tar_of
from ws_mcp.core.engine.model import EngineInfo, ExecSpec, Volume
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.engine.swarm_model import HERE, NodeId
from ws_mcp.core.errors import EngineConflictError, EngineNotFoundError
from ws_mcp.core.execd.binaries import Binary
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import ContainerId, PlaceId
from ws_mcp.core.state import State

MOUNT = "/.ws-mcp"
LABEL = "dev.ws-mcp.instance"
VERIFIER = "WSMCP_VERIFIER"
START_S = 10.0


def binary_path(name: str = "execd") -> str:
    """Where execd is inside a container."""
    return f"{MOUNT}/{name}"


def socket_directory(place: PlaceId) -> str:
    """Below /dev/shm, the one place that every user can write, also with a read-only root."""
    return f"/dev/shm/.{place}"  # noqa: S108 - the directory itself is 0700 and checked by execd


def address_in(
    container: ContainerId, place: PlaceId, binary: str, user: str = "", node: NodeId = HERE
) -> PlaceAddress:
    """How to reach the execd of a container."""
    directory = socket_directory(place)
    return PlaceAddress(place=place, container=container, binary=binary, directory=directory, user=user, node=node)


def volume_prefix(instance: str) -> str:
    """How the names of all execd volumes of an instance begin."""
    return f"wsmcp-execd-{instance}-"


def volume_name(instance: str, binary: Binary) -> str:
    """The volume that holds `binary`."""
    return f"{volume_prefix(instance)}{binary.digest}"


class ExecdVolumes:
    """The volumes with execd on one engine. `lock_of`: the name of the lock for what each engine has one of."""

    def __init__(self, engine: Engine, state: State, lock_of: Callable[[str], str] = str) -> None:
        self._engine = engine
        self._lock_of = lock_of
        self._state = state
        self._engine_id = ""

    async def ensure(self, binary: Binary) -> str:
        """The name of the volume that holds `binary` as `execd`, filled to the end; safe with several servers.

        Raises:
            EngineConflictError: a volume of this name exists that is no plain volume of ours.
        """
        engine, state, name = self._engine, self._state, volume_name(self._state.instance.id, binary)
        # Asked once, since Docker starts programs to answer. The volume of another engine would have another age.
        engine_id = self._engine_id = self._engine_id or _identity(await engine.info())
        try:
            volume = await engine.inspect_volume(name)
            if await state.is_filled(engine_id, name, volume.created_at):
                return name
        except EngineNotFoundError:
            pass
        async with state.lock(self._lock_of(name)):
            volume = await engine.create_volume(name, {LABEL: state.instance.id})
            _check(volume, state.instance.id)
            if not await state.is_filled(engine_id, name, volume.created_at):
                await fill_volume(engine, name, await anyio.to_thread.run_sync(_program_tar, binary))
                # Docker counts a volume's age from the last change of its top directory, and this was one.
                await state.mark_filled(engine_id, name, (await engine.inspect_volume(name)).created_at)
        return name


async def inject(engine: Engine, container: ContainerId, place: PlaceId, binary: Binary, verifier: str) -> PlaceAddress:
    """Copy execd into a running container of others and start it there, detached; safe to repeat.

    Raises:
        EngineError: its root is read-only, or the copy cannot be run.
    """
    program = await put_program(engine, container, binary)
    address = address_in(container, place, program)
    await start_detached(engine, container, address, verifier)
    return address


def program_path(binary: Binary, directory: str = MOUNT) -> str:
    """Where `put_program` puts it."""
    return f"{directory}/execd-{binary.digest}"


async def put_program(engine: Engine, container: ContainerId, binary: Binary, directory: str = MOUNT) -> str:
    """Copy execd into a container of others; returns its path there.

    Raises:
        EngineError: its root is read-only.
    """
    path = program_path(binary, directory)
    await engine.put_archive(container, "/", await anyio.to_thread.run_sync(_injected_tar, binary, path[1:]))
    return path


async def start_detached(
    engine: Engine,
    container: ContainerId,
    address: PlaceAddress,
    verifier: str,
    *,
    cwd: str = "",
    environment: Mapping[str, str] | None = None,
) -> None:
    """Start execd in a running container; where one listens already, that one stays. Says nothing about success.

    What it is given, its processes inherit.

    Raises:
        EngineError: nothing can be run there.
    """
    argv = (address.binary, "serve", "--detach", "--dir", address.directory, "--place", address.place)
    given = {**(environment or {}), VERIFIER: verifier}
    spec = ExecSpec(argv=argv, user=address.user, cwd=cwd, environment=given)
    async with engine.open_exec(container, spec) as stream:
        # It returns when the socket listens; what it prints is of no interest, its end is.
        with anyio.move_on_after(START_S):
            async for _ in stream:
                pass


def _identity(info: EngineInfo) -> str:
    """Cloned machines have engines of one id, and the age of a volume is told in seconds: two may be alike."""
    return f"{info.engine_id} {info.swarm_node}".strip()


def _check(volume: Volume, instance: str) -> None:
    # Creating a volume returns one that exists under the name, whoever made it and wherever it points to.
    if volume.driver != "local" or volume.options or volume.labels.get(LABEL) != instance:
        raise EngineConflictError(
            f"the volume {volume.name!r} on the engine was not made by this ws-mcp; remove it with `docker volume rm`"
        )


def _program_tar(binary: Binary) -> bytes:
    return tar_of(file_entry("execd", binary.path.read_bytes(), mode=0o755))


def _injected_tar(binary: Binary, name: str) -> bytes:
    content = binary.path.read_bytes()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o755
    return tar_of((entry, content))
