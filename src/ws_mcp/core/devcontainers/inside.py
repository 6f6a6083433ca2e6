"""The execd of a dev container: found there, else brought there and started as its user.

It listens below /dev/shm, so it is gone when the container restarts, and arrives again. No secret goes into the
container: execd is told a hash of it, and only in a container that was cleared.
"""

from __future__ import annotations

import io
import logging
import secrets
import tarfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import anyio

from ws_mcp.core.devcontainers.environment import (
    MAX_PASSWD_BYTES,
    MAX_PROBED_BYTES,
    Person,
    environment_of,
    person_of,
    probe_argv,
    probed_of,
    shell_of,
)
from ws_mcp.core.devcontainers.given import check_given
from ws_mcp.core.devcontainers.merged import Cleared
from ws_mcp.core.devcontainers.model import Record
from ws_mcp.core.engine.model import Container, ContainerState, ExecSpec, VolumeMount
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError, ImageNotFoundError, PlaceUnavailableError, WsError
from ws_mcp.core.execd import delivery
from ws_mcp.core.execd.binaries import Binary, NoBinaryError, binary
from ws_mcp.core.execd.client import STREAM_ERRORS, ExecdClient, open_execd
from ws_mcp.core.execd.failures import ExecdUnavailableError, failure_of
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import ContainerId, PlaceId
from ws_mcp.core.state import State
from ws_mcp.core.workspaces.naming import hashed, secret_of, verifier_of

log = logging.getLogger(__name__)

PROBE_S = 10.0  # as the CLI has it; then the container's own environment has to do
HELLO_S = 10.0
BRINGING = "execd-injection"  # the lock of whoever copies execd into a container that somebody else made

_REFUSED = cast("ExecdUnavailableError", failure_of("unauthorized", ""))
_NOT_RUNNING = {
    ContainerState.PAUSED: "it is paused; start it first",
    ContainerState.RESTARTING: "it restarts; try again in a moment",
}


def place_of(instance: str, container: ContainerId) -> PlaceId:
    """The place of a dev container: another one for each container, so that nothing is mistaken for what was there."""
    return PlaceId(f"wsmcp-{hashed(instance, 'devcontainer', container)}")


class ExecdInside:
    """See `port.Inside`. `local`: the variables of this machine that definitions may read."""

    def __init__(
        self,
        engine: Engine,
        state: State,
        client_name: str,
        local: Mapping[str, str],
        new_mark: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._engine = engine
        self._state = state
        self._client_name = client_name
        self._local = local
        self._new_mark = new_mark

    async def arrive(self, cleared: Cleared, record: Record) -> PlaceAddress:
        container = cleared.container
        if container.state is not ContainerState.RUNNING:
            raise PlaceUnavailableError(_NOT_RUNNING.get(container.state, "it does not run; start it first"))
        person = person_of(container, record, self._local)
        try:
            program = await self._program(container)
            address = self._address(container, person, program)
            if not await self._answers(address):
                await self._bring(address, container, person, program)
            await check_given(partial(self._connected, address), cleared.given)
        except EngineError as error:
            raise PlaceUnavailableError(f"nothing can be started in it: {error}") from error
        return address

    def _address(self, container: Container, person: Person, program: Binary | None) -> PlaceAddress:
        instance = self._state.instance.id
        path = delivery.binary_path()
        if program is not None:
            path = delivery.program_path(program, _directory(container, instance))
        return delivery.address_in(container.id, place_of(instance, container.id), path, person.user)

    async def _bring(self, address: PlaceAddress, container: Container, person: Person, program: Binary | None) -> None:
        if program is None:
            await self._start(address, container, person)
            return
        if container.is_read_only:
            raise PlaceUnavailableError(
                "its root is read-only and ws-mcp did not make it, so execd cannot be brought there; call "
                "recreate_devcontainer, which mounts it"
            )
        directory = _directory(container, self._state.instance.id)
        # Two servers that write the program at once would have each other run the half of it.
        async with self._state.lock(BRINGING):
            if not await self._answers(address):
                await delivery.put_program(self._engine, container.id, program, directory)
                await self._start(address, container, person)

    async def _start(self, address: PlaceAddress, container: Container, person: Person) -> None:
        """Start it in the user's folder, or, where that is missing, in the container's own directory."""
        environment = environment_of(container, person, await self._probed(container, person))
        verifier = verifier_of(self._secret(address))
        for cwd in dict.fromkeys((person.path, "")):
            try:
                await delivery.start_detached(
                    self._engine, container.id, address, verifier, cwd=cwd, environment=environment
                )
            except EngineError:
                if not cwd:
                    raise
            if await self._answers(address):
                return
            log.info("execd does not answer in %s after its start in %r", container.name, cwd)
        user = f"user {person.user!r}" if person.user else "its user"
        raise PlaceUnavailableError(
            f"execd was started there and does not answer: {user} has to exist and to be able to write to /dev/shm; "
            "the log of the server has what the engine said"
        )

    async def _answers(self, address: PlaceAddress) -> bool:
        """Whether the execd of an address is there and is ours.

        Raises:
            PlaceUnavailableError: there is one that is not.
        """
        failure = await self._failure(address)
        if failure is not None and failure.reason == _REFUSED.reason:
            raise PlaceUnavailableError(f"an execd listens there already: {failure.reason}; restart the container")
        return failure is None

    @asynccontextmanager
    async def _connected(self, address: PlaceAddress) -> AsyncGenerator[ExecdClient]:
        argv = (address.binary, "attach", "--dir", address.directory, "--wait-ms", "0")
        spec, secret, name = ExecSpec(argv=argv, user=address.user), self._secret(address), self._client_name
        async with (
            self._engine.open_exec(_container_of(address), spec) as stream,
            open_execd(stream, secret, on_event=None, client_name=name) as client,
        ):
            yield client

    async def _failure(self, address: PlaceAddress) -> ExecdUnavailableError | None:
        failure = ExecdUnavailableError(f"it said nothing for {HELLO_S:g} s")
        with anyio.move_on_after(HELLO_S):
            try:
                async with self._connected(address):
                    return None
            except* (WsError, *STREAM_ERRORS) as group:
                failure = _failure_of(group)
        return failure

    async def _probed(self, container: Container, person: Person) -> dict[str, str] | None:
        """The environment of the user's shell; None where there is none to be had."""
        mark = self._new_mark()
        shell = shell_of(await self._passwd(container.id), person.user, container.environment)
        argv = probe_argv(shell, person.probe, mark)
        if argv is None:
            return None
        output = b""
        with anyio.move_on_after(PROBE_S):
            async with self._engine.open_exec(container.id, ExecSpec(argv=argv, user=person.user)) as stream:
                await stream.send_eof()  # what asks a question at the start of a shell gets no answer
                async for chunk in stream:
                    output += chunk
                    if len(output) > MAX_PROBED_BYTES:
                        break
        probed = probed_of(output, mark)
        if probed is None:
            log.info("the shell of %s does not tell its environment; the container's own is used", container.name)
        return probed

    async def _passwd(self, container: ContainerId) -> str:
        try:
            archive = await self._engine.get_archive(container, "/etc/passwd", MAX_PASSWD_BYTES)
            with tarfile.open(fileobj=io.BytesIO(archive)) as files:
                member = files.next()
                content = files.extractfile(member) if member is not None and member.isreg() else None
                return content.read().decode(errors="replace") if content is not None else ""
        except (EngineError, tarfile.TarError):
            return ""

    async def _program(self, container: Container) -> Binary | None:
        """What is to be copied there: what the engine's machine can run, since it is static. None: it is mounted."""
        if _is_mounted(container, self._state.instance.id):
            return None
        try:
            system = (await self._engine.image(container.image_id)).os
        except ImageNotFoundError:
            system = ""  # it was removed, or tagged anew, since
        if system not in ("", "linux"):
            raise PlaceUnavailableError(f"its image is for {system!r}, and processes are run on Linux only")
        try:
            return binary("linux", (await self._engine.info()).architecture)
        except NoBinaryError as error:
            raise PlaceUnavailableError(str(error)) from error

    def _secret(self, address: PlaceAddress) -> str:
        return secret_of(self._state.instance.key, address.place)


def _is_mounted(container: Container, instance: str) -> bool:
    return any(
        isinstance(mount, VolumeMount)
        and mount.target == delivery.MOUNT
        and mount.volume.startswith(delivery.volume_prefix(instance))
        for mount in container.mounts
    )


def _directory(container: Container, instance: str) -> str:
    """Where the copy goes: beside what another instance mounted."""
    is_taken = any(mount.target == delivery.MOUNT for mount in container.mounts)
    return f"{delivery.MOUNT}-{instance}" if is_taken else delivery.MOUNT


def _container_of(address: PlaceAddress) -> ContainerId:
    if address.container is None:
        raise RuntimeError("a dev container is a container")
    return address.container


def _failure_of(error: BaseException) -> ExecdUnavailableError:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    if isinstance(error, ExecdUnavailableError):
        return error
    return ExecdUnavailableError(str(error))
