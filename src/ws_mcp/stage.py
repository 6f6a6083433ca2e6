"""What the demo stands on: a state directory of its own, an image or a sandbox, servers to kill, and the clearing away.

Nothing of it stays: containers, volumes, images, local daemons and files go when the block is left, however it is left.
"""

from __future__ import annotations

import logging
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from ws_mcp.core.engine.fill import EMPTY_IMAGE
from ws_mcp.core.engine.model import ContainerSpec, EngineInfo
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError, EngineNotFoundError, ImageNotFoundError, WsError
from ws_mcp.core.execd.binaries import binary, host_binary
from ws_mcp.core.host.sandbox import has_bubblewrap
from ws_mcp.core.ids import new_process_id
from ws_mcp.core.runtime import open_core
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import WorkspaceKind
from ws_mcp.demo_server import Server, open_server
from ws_mcp.doors import NO_ENGINE, choices_of, open_engine
from ws_mcp.settings import Settings
from ws_mcp.stage_image import image_tar, static_busybox
from ws_mcp.stage_projects import Projects

log = logging.getLogger(__name__)

CLEAR_S = 60.0
TEMPLATE = "demo"  # as the operator would name it with --template, and the directory in the demo's own
PORT = 8000  # in a container of its own every port is free
PROJECTS = "projects"  # the root, in the demo's own directory

NOTHING_TO_RUN_IN = """\
there is nothing to run the demo in: no container engine answers ({reason}), and bubblewrap is not installed.
Do one of these:
  install Docker or Podman and start it            (workspaces are containers)
  install bubblewrap, on Debian: apt install bubblewrap   (workspaces are sandboxed directories)
  ws-mcp demo --allow-host-processes               (no sandbox at all: the demo's commands run as you)"""

NO_IMAGE = """\
the container engine has no image that the demo could use, and no static busybox is on this machine to make one from.
Do one of these:
  docker pull busybox, or name any image with a shell that you have: ws-mcp demo --image NAME
  install busybox-static, on Debian: apt install busybox-static
  ws-mcp demo --engine none                        (a sandboxed directory in place of a container)"""


class NoStageError(WsError):
    """There is nothing to run the demo in; the message says what to install."""


class NotClearedError(WsError):
    """Something of the demo is left; the message says how to find it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the demo runs.

    `words` says it to a person; `is_here`: published ports are reached from this machine; `port`: free in there.
    """

    settings: Settings
    kind: WorkspaceKind
    words: str
    is_here: bool
    port: int
    directory: Path
    made: Projects | None = None

    @property
    def projects(self) -> Path:
        """Where there may be dev containers."""
        return self.directory / PROJECTS

    @property
    def no_program(self) -> str:
        """See `Projects`."""
        return self.made.no_program if self.made is not None else ""

    async def note_images(self) -> None:
        """See `Projects.note_images`."""
        if self.made is not None:
            await self.made.note_images()

    def server(self) -> AbstractAsyncContextManager[Server]:
        """A server in this place, and a client of it."""
        return open_server(self.settings, self.directory)


@asynccontextmanager
async def open_stage(settings: Settings) -> AsyncGenerator[Stage]:
    """Find something to run the demo in; leaving the block clears everything away that the demo made.

    Raises:
        NoStageError: there is nothing.
    """
    directory = await anyio.to_thread.run_sync(_directory)
    mine = settings.model_copy(update={"state": directory / "state", "state_database": ""})
    async with open_engine(mine) as engine:
        props = _Props(engine=engine)
        problem = f"it took longer than {CLEAR_S:.0f} s"
        try:
            yield await _stage(mine, directory, props)
        finally:
            with anyio.move_on_after(CLEAR_S, shield=True):
                problem = await _clear(mine, props)
                await anyio.to_thread.run_sync(lambda: shutil.rmtree(directory, ignore_errors=True))
            if problem:
                log.error("not everything could be cleared away: %s", problem)
    if problem:
        raise NotClearedError(problem)


def _directory() -> Path:
    # Without links: that is how dev containers name their folders.
    return Path(tempfile.mkdtemp(prefix="ws-mcp-demo-")).resolve()


@dataclass(slots=True, kw_only=True)
class _Props:
    """What the demo made on the engine besides its workspaces."""

    engine: Engine | None
    images: list[str] = field(default_factory=list[str])
    projects: Projects | None = None


async def _stage(settings: Settings, directory: Path, props: _Props) -> Stage:
    reason = "none is wanted"
    if props.engine is not None:
        try:
            info = await props.engine.info()
        except EngineError as error:
            reason, props.engine = str(error), None
        else:
            return await _in_containers(settings, directory, props, props.engine, info)
    settings = settings.model_copy(update={"engine": NO_ENGINE})
    if has_bubblewrap():
        words = "a directory of this machine, in a bubblewrap sandbox"
    elif settings.allow_host_processes:
        words = "a directory of this machine, without a sandbox (--allow-host-processes)"
    else:
        raise NoStageError(NOTHING_TO_RUN_IN.format(reason=reason))
    port = _free_port()
    local = WorkspaceKind.LOCAL
    return Stage(settings=settings, kind=local, words=words, is_here=False, port=port, directory=directory)


def _free_port() -> int:
    """A local workspace may share this machine's ports."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def _in_containers(settings: Settings, directory: Path, props: _Props, engine: Engine, info: EngineInfo) -> Stage:
    await _note_empty_image(engine, props)
    image, origin = settings.image, "named with --image"
    if not image and (busybox := static_busybox()) and host_binary() == binary("linux", info.architecture):
        image, origin = f"ws-mcp-demo:{new_process_id()[2:]}", "made for it from this machine's busybox"
        props.images.append(image)
        await engine.import_image(await anyio.to_thread.run_sync(image_tar, busybox), image)
    if not image:
        image, origin = await _image_with_shell(engine), "found on the engine"
    root = directory / PROJECTS
    root.mkdir(mode=0o755)
    props.projects = Projects(engine, root)
    template = {**settings.template, TEMPLATE: directory / TEMPLATE}
    return Stage(
        settings=settings.model_copy(update={"image": image, "template": template, "root": (*settings.root, root)}),
        kind=WorkspaceKind.CONTAINER,
        words=f"containers of {info.kind} {info.version}, image {image} ({origin})",
        is_here=info.endpoint.startswith("unix://"),
        port=PORT,
        directory=directory,
        made=props.projects,
    )


async def _note_empty_image(engine: Engine, props: _Props) -> None:
    try:
        await engine.image(EMPTY_IMAGE)
    except ImageNotFoundError:
        props.images.append(EMPTY_IMAGE)


async def _image_with_shell(engine: Engine) -> str:
    for image in await engine.list_images():
        spec = ContainerSpec(name=f"ws-mcp-demo-{new_process_id()[2:]}", image=image.id, command=("/none",))
        container = await engine.create(spec)
        try:
            await engine.get_archive(container, "/bin/sh", 16 << 20)
        except EngineError:
            continue
        else:
            return image.tags[0]
        finally:
            with anyio.move_on_after(CLEAR_S, shield=True):
                await engine.remove(container)
    raise NoStageError(NO_IMAGE)


async def _clear(settings: Settings, props: _Props) -> str:
    """Remove everything; returns what went wrong, "" if nothing did. One failure does not keep the rest."""
    problems: list[str] = []
    async with open_core(choices_of(settings), props.engine) as core:
        instance = core.state.instance.id
        try:
            for scope, workspace in await core.all_workspaces():
                await core.remove(scope, workspace.name, keep_volume=False)
        except WsError as error:
            problems.append(str(error))
    if props.projects is not None:
        problems += await props.projects.clear()
    if props.engine is not None:
        problems += await _clear_engine(props.engine, instance, props.images)
    return f"{'; '.join(problems)}; what is left carries the label {naming.INSTANCE}={instance}" if problems else ""


async def _clear_engine(engine: Engine, instance: str, images: Iterable[str]) -> list[str]:
    problems: list[str] = []
    try:
        for volume in await engine.list_volumes({naming.INSTANCE: instance}):
            with suppress(EngineNotFoundError):
                # It is there only if the server was stopped while it filled the volume.
                await engine.remove((await engine.inspect(f"{volume.name}-fill")).id)
            await engine.remove_volume(volume.name)
        for network in await engine.list_networks({naming.INSTANCE: instance}):
            await engine.remove_network(network.name)
    except EngineError as error:
        problems.append(str(error))
    for image in images:
        try:
            await engine.remove_image(image)
        except EngineError as error:
            problems.append(str(error))
    return problems
