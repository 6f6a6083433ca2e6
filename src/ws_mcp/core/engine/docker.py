"""The engine door on the Docker SDK, for Docker's API and for Podman's copy of it.

The SDK blocks, so each call runs in a worker thread: see `link`. Streams do not go through it: see `stream`.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.abc import ByteStream

from ws_mcp.core.awaited import ENGINE, awaiting
from ws_mcp.core.engine import answers, stream
from ws_mcp.core.engine.body import container_body, with_process_limit
from ws_mcp.core.engine.breaker import Breaker
from ws_mcp.core.engine.connection import Target
from ws_mcp.core.engine.containers import container_of, listed_container_of
from ws_mcp.core.engine.context import Endpoint, resolve_endpoint
from ws_mcp.core.engine.deadlines import Deadlines, deadline, finishing
from ws_mcp.core.engine.faults import Call
from ws_mcp.core.engine.files import EngineFiles
from ws_mcp.core.engine.images import EngineImages, is_for
from ws_mcp.core.engine.link import CONNECTIONS, Link, asked, connect, login_of, storage_bytes_of
from ws_mcp.core.engine.model import Container, ContainerSpec, ContainerState, EngineEvent, EngineInfo, ExecSpec
from ws_mcp.core.engine.names import (
    checked_id,
    checked_image,
    checked_name,
    checked_platform,
    is_id,
)
from ws_mcp.core.engine.networks import EngineNetworks
from ws_mcp.core.engine.record import Record, listed_of
from ws_mcp.core.engine.sdk import Sdk, can_choose_platform, carries, container_log, filters_of
from ws_mcp.core.engine.storage import EngineVolumes
from ws_mcp.core.engine.swarm_calls import EngineSwarm
from ws_mcp.core.errors import (
    EngineConflictError,
    EngineError,
    EngineNotFoundError,
    EngineTimeoutError,
    EngineUnavailableError,
    ImageNotFoundError,
    one_line,
)
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.observed import Observed

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOKERS = CONNECTIONS  # threads for looks, and as many for acts, so that slow stops do not keep anybody from looking;
ACTORS = CONNECTIONS  # the engine gets no faster with more than four to eight acts at once, only its tail longer
SETTLE_S = 2.0  # of an engine that hears of its own containers a little late
POLL_S = 0.05


class DockerEngine(EngineFiles, EngineImages, EngineVolumes, EngineNetworks, EngineSwarm):
    """See `port.Engine`. Give `aclose` a chance; the object may be used again after it.

    A look that is cancelled is left alone. An act is not: whoever is cancelled gets its result first (at most `act_s`
    later), and so knows what there is to clean up. An engine that hangs is not asked by everybody: see `breaker`.
    """

    _swarm_node = ""  # which node of a swarm it has to be, where that is said

    def __init__(
        self,
        endpoint: str = "",
        environment: Mapping[str, str] = os.environ,
        deadlines: Deadlines = Deadlines(),  # noqa: B008 - frozen
    ) -> None:
        self._deadlines = deadlines
        self._given = endpoint
        self._environment = environment
        self._endpoint: Endpoint | None = None
        self._link: Link | None = None
        self._connecting = anyio.Lock()
        self._lookers = anyio.CapacityLimiter(LOOKERS)
        self._actors = anyio.CapacityLimiter(ACTORS)
        self._acting = anyio.CapacityLimiter(ACTORS)  # their threads
        self._breaker = Breaker()

    async def info(self) -> EngineInfo:
        found = Record(await self._look(Call.INFO, "", lambda sdk: sdk.info()))
        link = await self._linked()
        endpoint, directory = link.target.endpoint, found.text("DockerRootDir")
        storage_bytes = await anyio.to_thread.run_sync(storage_bytes_of, endpoint, directory, limiter=self._lookers)
        return answers.info_of(found, link.version, str(endpoint), storage_bytes)

    async def list_containers(self, labels: Mapping[str, str]) -> tuple[Container, ...]:
        filters = filters_of(labels)
        found = await self._look(Call.LIST, "", lambda sdk: listed_of(sdk.containers(all=True, filters=filters)))
        listed = map(listed_container_of, found)
        return tuple(container for container in listed if carries(container.labels, labels))

    async def inspect(self, container: str) -> Container:
        checked_name("container", container)
        found = await self._look(Call.INSPECT, container, lambda sdk: sdk.inspect_container(container))
        answer = container_of(Record(found))
        # The engine takes the beginning of an id, too: without this, one's name could be another's short id.
        if container not in (answer.id, answer.name):
            raise EngineNotFoundError(f"could not {Call.INSPECT} {container!r}: no such container")
        return answer

    async def create(self, spec: ContainerSpec) -> ContainerId:
        name = checked_name("container", spec.name)
        checked_image(spec.image)
        checked_platform(spec.platform)
        target = await self._target()
        body = container_body(spec, is_podman=target.is_podman)
        if target.is_podman and spec.limits.nofile and not (await self.info()).is_rootless:
            body = with_process_limit(body)
        platform = spec.platform if can_choose_platform(target) else ""
        if spec.platform and not platform and not is_for(await self.image(spec.image), spec.platform):
            raise await self._image_missing(spec.image, spec.platform)

        def create(sdk: Sdk) -> object:
            return sdk.create_container_from_config(body, name, platform or None)

        try:
            found = await self._act(Call.CREATE, name, create)
        except ImageNotFoundError as error:
            raise await self._image_missing(spec.image, spec.platform) from error
        if Record(found).texts("Warnings"):
            log.info("the engine says of container %s: %s", name, one_line("; ".join(Record(found).texts("Warnings"))))
        container = Record(found).text("Id")
        if not is_id(container):
            raise EngineError(f"could not {Call.CREATE} {name!r}: the engine gave it no id")
        return ContainerId(container)

    async def start(self, container: ContainerId) -> None:
        checked_id(container)
        await self._act(Call.START, container[:12], lambda sdk: sdk.start(container))

    async def stop(self, container: ContainerId, grace_s: float) -> None:
        checked_id(container)
        wait_s = max(math.ceil(grace_s), 0)
        try:
            await self._act(Call.STOP, container[:12], lambda sdk: sdk.stop(container, timeout=wait_s))
        except EngineConflictError:
            # Podman does not stop what is paused.
            if (await self.inspect(container)).state is not ContainerState.PAUSED:
                raise
            await self.unpause(container)
            await self._act(Call.STOP, container[:12], lambda sdk: sdk.stop(container, timeout=wait_s))

    async def pause(self, container: ContainerId) -> None:
        checked_id(container)
        try:
            await self._act(Call.PAUSE, container[:12], lambda sdk: sdk.pause(container))
        except EngineConflictError:
            if (await self.inspect(container)).state is not ContainerState.PAUSED:
                raise

    async def unpause(self, container: ContainerId) -> None:
        checked_id(container)
        try:
            await self._act(Call.UNPAUSE, container[:12], lambda sdk: sdk.unpause(container))
        except EngineConflictError:
            state = (await self.inspect(container)).state
            # Docker may hear late that it was paused, and then holds it for that until it hears that it goes on.
            with anyio.move_on_after(SETTLE_S):
                while state is ContainerState.PAUSED:
                    await anyio.sleep(POLL_S)
                    state = (await self.inspect(container)).state
            if state is not ContainerState.RUNNING:
                raise

    async def rename(self, container: ContainerId, name: str) -> None:
        checked_id(container)
        checked_name("container", name)
        await self._act(Call.RENAME, container[:12], lambda sdk: sdk.rename(container, name))

    async def logs(self, container: ContainerId, lines: int, limit_bytes: int) -> str:
        checked_id(container)
        found = await self._look(
            Call.LOGS, container[:12], lambda sdk: container_log(sdk, container, lines, limit_bytes)
        )
        return found.decode(errors="replace")

    async def remove(self, container: ContainerId) -> None:
        checked_id(container)
        try:
            await self._act(
                Call.REMOVE, container[:12], lambda sdk: sdk.remove_container(container, v=True, force=True)
            )
        except EngineNotFoundError:
            return
        except EngineConflictError as error:
            if "already in progress" not in str(error):
                raise
            await self._until_gone(container)

    @asynccontextmanager
    async def open_exec(self, container: ContainerId, spec: ExecSpec) -> AsyncGenerator[ByteStream]:
        checked_id(container)
        async with AsyncExitStack() as stack:
            with self._breaker.asking(self._where):
                target = (await self._linked()).target
                opened = await stack.enter_async_context(stream.open_exec(target, container, spec))
            yield opened

    @asynccontextmanager
    async def open_events(self) -> AsyncGenerator[AsyncIterator[EngineEvent]]:
        async with AsyncExitStack() as stack:
            with self._breaker.listening():
                target = (await self._linked()).target
                events = await stack.enter_async_context(stream.open_events(target))
            yield events

    async def aclose(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    async def _until_gone(self, container: ContainerId) -> None:
        with anyio.move_on_after(self._deadlines.gone_s):
            while True:
                try:
                    await self.inspect(container)
                except EngineNotFoundError:
                    return
                await anyio.sleep(POLL_S)
        raise EngineTimeoutError(f"container {container[:12]} is being removed, but not gone in time")

    async def _target(self) -> Target:
        if self._link is not None:
            return self._link.target
        with self._breaker.asking(self._where):
            return (await self._linked()).target

    async def _login(self, image: str) -> str:
        # It may run a program of the operator's (a credential helper).
        return await anyio.to_thread.run_sync(login_of, self._environment, image, limiter=self._lookers)

    async def _linked(self) -> Link:
        if self._link is not None:
            return self._link
        if self._endpoint is None:
            # It stays: another engine in its place would look as if all containers were gone.
            self._endpoint = await anyio.to_thread.run_sync(resolve_endpoint, self._given, self._environment)
        with deadline(self._endpoint, self._deadlines.connect_s):
            async with self._connecting:
                if self._link is None:
                    self._link = await anyio.to_thread.run_sync(
                        partial(connect, self._endpoint, self._deadlines, self._swarm_node),
                        abandon_on_cancel=True,
                        limiter=self._lookers,
                    )
                return self._link

    @property
    def _where(self) -> str:
        return str(self._endpoint or self._given)

    async def _look(self, call: Call, subject: str, ask: Callable[[Sdk], T], deadline_s: float = 0) -> T:
        with awaiting(ENGINE), self._breaker.asking(self._where):
            link = await self._linked()
            look = partial(asked, call, subject, link.target.endpoint, link.looks, ask, tries=2)
            seconds = deadline_s or self._deadlines.look_s
            with (
                Observed("engine", call.name.lower()),
                self._forgets_lost(link),
                deadline(link.target.endpoint, seconds),
            ):
                return await anyio.to_thread.run_sync(look, abandon_on_cancel=True, limiter=self._lookers)

    async def _act(self, call: Call, subject: str, ask: Callable[[Sdk], T]) -> T:
        with awaiting(ENGINE):
            async with self._actors:
                with self._breaker.asking(self._where):
                    link = await self._linked()
                    act = partial(asked, call, subject, link.target.endpoint, link.acts, ask, tries=1)
                    endpoint, seconds = link.target.endpoint, self._deadlines.act_s
                    with Observed("engine", call.name.lower()), self._forgets_lost(link), finishing(endpoint, seconds):
                        return await anyio.to_thread.run_sync(act, abandon_on_cancel=True, limiter=self._acting)

    @contextmanager
    def _forgets_lost(self, link: Link) -> Generator[None]:
        try:
            yield
        except EngineUnavailableError:
            # Whoever answers next may be a newer version of the engine: agree again.
            if self._link is link:
                self._link = None
                link.close()
            raise
