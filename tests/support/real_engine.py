"""The ground for tests on a real container engine: is there one, its fixture images, and a clean end.

Everything that a test makes through `LabelledEngine` carries the session's label and goes at the session's end. What
other parts make (a server as a child process) is named with `EngineGround.own`. What a killed run left behind goes when
it is older than an hour: by label, and by image for containers without it.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from support import images
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.link import Link
from ws_mcp.core.engine.model import ContainerSpec, Volume
from ws_mcp.core.errors import EngineConflictError, EngineUnavailableError
from ws_mcp.core.ids import ContainerId

LABEL = "dev.ws-mcp.test"  # its value: the session's process and when it began, in seconds since 1970
INSTANCE_LABEL = "dev.ws-mcp.instance"
LEFT_AFTER_S = 3600
PREFIX = "wsmcp-test-"


class EngineGround:
    """The engine of one test session."""

    def __init__(self, address: str = "") -> None:
        self.address = address  # "" = the engine that the product would choose
        self.session = f"{os.getpid()}-{int(time.time())}"
        self.labels: Mapping[str, str] = {LABEL: self.session}
        self.link: Link | None = None  # one for the session: Podman takes most of a second to say who it is
        self._owned = [self.labels]
        self._numbers = itertools.count()

    def name(self, kind: str = "c") -> str:
        """A name for an engine object that nobody else has."""
        return f"{PREFIX}{self.session}-{kind}{next(self._numbers)}"

    def own(self, labels: Mapping[str, str]) -> None:
        """Remove what carries `labels` at the end, too, although it does not carry the session's label."""
        self._owned.append(dict(labels))

    async def make_images(self) -> None:
        """The fixture images, unless they are there."""
        async with one_at_a_time(), self.engine() as engine:
            there = {tag.removeprefix("localhost/") for image in await engine.list_images() for tag in image.tags}
            if images.BUSYBOX not in there:
                await import_with_command(
                    engine, await anyio.to_thread.run_sync(images.busybox_tar), images.BUSYBOX, 'CMD ["sh"]'
                )
            if images.SCRATCH not in there:
                await engine.import_image(await anyio.to_thread.run_sync(images.scratch_tar), images.SCRATCH)

    async def sweep(self) -> None:
        """Remove what killed runs left."""
        async with self.engine() as engine:
            marked = await engine.list_containers({LABEL: ""})
            served = [c for c in await engine.list_containers({INSTANCE_LABEL: ""}) if PREFIX in c.image]
            for container in (*marked, *served):
                if time.time() - container.created_at.timestamp() > LEFT_AFTER_S:
                    await engine.remove(container.id)
            for volume in await engine.list_volumes({}):
                if _is_left(volume.labels.get(LABEL) or volume.name):
                    await _remove_volume(engine, volume.name)
            for network in await engine.list_networks({}):
                if _is_left(network.name):
                    await engine.remove_network(network.name)

    async def clean(self) -> None:
        """Remove what this session made."""
        async with self.engine() as engine:
            for labels in self._owned:
                # Side by side; the door lets the engine have no more than it can take.
                async with anyio.create_task_group() as tasks:
                    for container in await engine.list_containers(labels):
                        tasks.start_soon(engine.remove, container.id)
                for volume in await engine.list_volumes(labels):
                    await _remove_volume(engine, volume.name)
                for network in await engine.list_networks(labels):
                    await engine.remove_network(network.name)
            # An engine makes volumes that a container names and nobody made: they have no label.
            for volume in await engine.list_volumes({}):
                if volume.name.startswith(f"{PREFIX}{self.session}-"):
                    await _remove_volume(engine, volume.name)

    @asynccontextmanager
    async def engine(self) -> AsyncGenerator[LabelledEngine]:
        """An engine of one's own; what it makes goes at the session's end."""
        engine = LabelledEngine(self)
        try:
            yield engine
        finally:
            await engine.aclose()


class LabelledEngine(DockerEngine):
    """A `DockerEngine` that puts the session's label on whatever it makes."""

    def __init__(self, ground: EngineGround) -> None:
        super().__init__(ground.address)
        self._labels = ground.labels
        self._ground = ground
        self._link = ground.link
        self._made: list[ContainerId] = []

    async def create(self, spec: ContainerSpec) -> ContainerId:
        container = await super().create(replace(spec, labels={**spec.labels, **self._labels}))
        self._made.append(container)
        return container

    async def _linked(self) -> Link:
        self._ground.link = await super()._linked()
        return self._ground.link

    async def aclose(self) -> None:
        """The link stays, for the next one."""
        self._link = None
        await anyio.lowlevel.checkpoint()

    async def remove_made(self) -> None:
        """Remove the containers that were made through it."""
        async with anyio.create_task_group() as tasks:
            for container in self._made:
                tasks.start_soon(self.remove, container)

    async def create_volume(self, name: str, labels: Mapping[str, str]) -> Volume:
        return await super().create_volume(name, {**labels, **self._labels})

    async def create_network(
        self, name: str, labels: Mapping[str, str], *, is_internal: bool, subnet: str = ""
    ) -> None:
        await super().create_network(name, {**labels, **self._labels}, is_internal=is_internal, subnet=subnet)


@asynccontextmanager
async def one_at_a_time() -> AsyncGenerator[None]:
    """Alone among the processes of this user that make images.

    Two that miss the same one would both make it, and what its name means would change under who uses it already.
    """
    path = Path(tempfile.gettempdir()) / f"{PREFIX}images-{os.getuid()}.lock"
    with path.open("ab") as lock:
        await anyio.to_thread.run_sync(fcntl.flock, lock, fcntl.LOCK_EX)
        yield


@contextmanager
def open_ground(address: str = "", *, is_required: bool | None = None) -> Generator[EngineGround]:
    """The engine of this session with the fixture images; skips or fails where none answers."""
    ground = EngineGround(address)
    try:
        run_in_thread(ground.sweep)
        run_in_thread(ground.make_images)
    except (EngineUnavailableError, FileNotFoundError) as error:
        _give_up(f"needs a container engine, but {error}", is_required=_in_ci() if is_required is None else is_required)
    yield ground
    run_in_thread(ground.clean)
    if ground.link is not None:
        ground.link.close()


def _in_ci() -> bool:
    return os.environ.get("CI") == "true" or os.environ.get("WS_MCP_REQUIRE_ENGINE") == "1"


def _give_up(reason: str, *, is_required: bool) -> None:
    if is_required:
        pytest.fail(f"{reason}; here (CI=true or WS_MCP_REQUIRE_ENGINE=1) that is a failure", pytrace=False)
    pytest.skip(reason)


def run_in_thread(what: Callable[[], Awaitable[None]]) -> None:
    """Run it on an event loop of its own."""
    # In a thread: session fixtures are set up while the event loop of a test may be there already.
    with ThreadPoolExecutor(1) as threads:
        threads.submit(anyio.run, what).result()


async def import_with_command(engine: DockerEngine, tar: bytes, name: str, change: str) -> None:
    """Import with a command, which the product has no use for."""
    repository, _, tag = name.partition(":")
    link = await engine._linked()

    def post() -> None:
        params = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": change}
        url = f"{link.acts.base_url}/v{link.acts.api_version}/images/create"
        headers = {"Content-Type": "application/x-tar"}
        response = link.acts.post(url, params=params, headers=headers, data=tar, timeout=60)
        response.raise_for_status()
        if link.target.is_podman:
            link.acts.tag(json.loads(response.text)["id"], repository, tag)

    await anyio.to_thread.run_sync(post)


async def _remove_volume(engine: DockerEngine, name: str) -> None:
    try:
        await engine.remove_volume(name)
    except EngineConflictError:
        # Another session's container has it: it goes with that one.
        return


def _is_left(name: str) -> bool:
    found = re.match(rf"(?:{PREFIX})?\d+-(\d{{10,}})(?:-|$)", name)
    return found is not None and time.time() - int(found[1]) > LEFT_AFTER_S
