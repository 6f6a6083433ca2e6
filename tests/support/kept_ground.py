"""Dev containers on a fake engine: definitions in memory, and a CLI that makes containers on that engine."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel

from support.devcontainer_memory import MemoryLocks, MemoryRecords
from support.engine_cli import EngineCli
from support.fake_definitions import ROOT, FakeDefinitions, definition_of, key_of
from support.fake_engine import FakeEngine
from support.fake_inside import FakeInside
from support.fake_world import BEGAN
from ws_mcp.core.devcontainers.allowances import Allowances
from ws_mcp.core.devcontainers.base_images import TrackedDefinitions
from ws_mcp.core.devcontainers.ground import Ground
from ws_mcp.core.devcontainers.model import (
    DevContainer,
    Key,
    RecreateAsk,
    Recreated,
    Target,
)
from ws_mcp.core.devcontainers.moorings import Moored, unmoored
from ws_mcp.core.devcontainers.opening import open_devcontainers
from ws_mcp.core.devcontainers.policing import Policing
from ws_mcp.core.devcontainers.service import DevContainers
from ws_mcp.core.devcontainers.sightings import CONFIG, FOLDER, METADATA
from ws_mcp.core.engine.model import BindMount, ContainerSpec, ContainerState, Image
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import ContainerId, PlaceId
from ws_mcp.core.job import StillRunning
from ws_mcp.core.jobs import BOUNDS, JobBounds

SHOP = key_of("shop")


class DevGround:
    """One engine, one disk, one state directory: for one server after another, or several at once."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.engine.add_image(Image(id="sha256:" + "1" * 64, tags=("img:1",), architecture="amd64", command=("sleep",)))
        self.definitions = FakeDefinitions()
        self.cli = EngineCli(self.engine, self.definitions)
        self.records = MemoryRecords()
        self.locks = MemoryLocks()
        self.inside = FakeInside()
        self.processes: int | None = None  # that run in each place; None: its execd does not answer
        self.dropped: list[PlaceId] = []
        self.changes = 0
        self.logged = 0
        self.stall_s = 60.0
        self.labels: dict[str, str] = {}
        self.moored: Moored = unmoored
        self.allowances = Allowances(initialize_command=True, compose=True)

    def ground(self, roots: tuple[str, ...] = (ROOT,)) -> Ground:
        """What a server is given."""
        return Ground(
            engine=self.engine,
            cli=self.cli,
            definitions=TrackedDefinitions(self.definitions, self.engine),
            inside=self.inside,
            records=self.records,
            locks=self.locks,
            policing=Policing(self.engine, replace(self.allowances, roots=roots)),
            copies=self._copy,
            links=_no_links,
            volume=self._volume,
            drop=self._drop,
            running=self._running,
            now=lambda: BEGAN,
            labels=self.labels,
            stall_s=self.stall_s,
            moored=self.moored,
        )

    @asynccontextmanager
    async def open(self, bounds: JobBounds = BOUNDS) -> AsyncGenerator[DevContainers]:
        """A server."""
        async with open_devcontainers(self.ground(), self._changed, self._logged, bounds) as devcontainers:
            yield devcontainers

    def _logged(self) -> None:
        self.logged += 1

    async def _volume(self) -> str:
        await anyio.lowlevel.checkpoint()
        return "execd"

    async def _drop(self, place: PlaceId) -> None:
        await anyio.lowlevel.checkpoint()
        self.dropped.append(place)

    async def _running(self, _: PlaceAddress) -> int | None:
        await anyio.lowlevel.checkpoint()
        return self.processes

    def _changed(self) -> None:
        self.changes += 1

    @asynccontextmanager
    async def _copy(self, text: str) -> AsyncGenerator[Path]:
        path = Path(f"/copies/{len(self.cli.copies)}/devcontainer.json")
        self.cli.copies[path] = text
        await anyio.lowlevel.checkpoint()
        yield path


async def recreated(devcontainers: DevContainers, ask: RecreateAsk = RecreateAsk(), key: Key = SHOP) -> Recreated:  # noqa: B008 - frozen
    """The answer to a recreate that must not take long."""
    done = await devcontainers.recreate(Target(folder=key.folder, config=key.config), ask, unheard)
    assert not isinstance(done, StillRunning), done
    return done


async def remade(devcontainers: DevContainers) -> Recreated:
    """The answer to a forced recreate, however long that takes."""
    ask, target = RecreateAsk(force=True), Target(folder=SHOP.folder, config=SHOP.config)
    while isinstance(done := await devcontainers.recreate(target, ask, unheard), StillRunning):
        continue
    return done


async def only_one(devcontainers: DevContainers, *, is_fresh: bool = False) -> DevContainer:
    """The one dev container that there is."""
    [found] = (await devcontainers.list(is_fresh=is_fresh)).devcontainers
    return found


async def others_container(
    ground: DevGround, key: Key = SHOP, name: str = "others", labels: Mapping[str, str] | None = None
) -> ContainerId:
    """A dev container that somebody else made and started."""
    metadata = json.dumps([dict(definition_of(key, ground.definitions.texts.get(key, "{}")).properties)])
    all_labels = {FOLDER: key.folder, CONFIG: key.config, METADATA: metadata, **(labels or {})}
    mount = BindMount(source=key.folder, target="/workspaces/shop")
    made = await ground.engine.create(ContainerSpec(name=name, image="img:1", labels=all_labels, mounts=(mount,)))
    await ground.engine.start(made)
    return made


def states(ground: DevGround) -> dict[str, ContainerState]:
    """What is on the engine."""
    return {container.spec.name: container.state for container in ground.engine.containers.values()}


async def unheard(_phase: str, _fraction: float) -> None: ...


async def _no_links(_paths: Collection[str]) -> Mapping[str, str]:
    await anyio.lowlevel.checkpoint()
    return {}
