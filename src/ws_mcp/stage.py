"""What the demo stands on: a state directory of its own, an image or a sandbox, servers to kill, and the clearing away.

Nothing of it stays: containers, volumes, images, local daemons and files go when the block is left, however it is left.
"""

from __future__ import annotations

import logging
import shutil
import socket
import sys
import tarfile
import tempfile
from collections.abc import AsyncGenerator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from ws_mcp.core.engine.fill import EMPTY_IMAGE, tar_of
from ws_mcp.core.engine.model import ContainerSpec, EngineInfo
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError, EngineNotFoundError, ImageNotFoundError, WsError
from ws_mcp.core.execd.binaries import binary, host_binary
from ws_mcp.core.host.sandbox import has_bubblewrap
from ws_mcp.core.ids import new_process_id
from ws_mcp.core.runtime import open_core
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import WorkspaceKind
from ws_mcp.doors import NO_ENGINE, choices_of, open_engine
from ws_mcp.settings import Settings
from ws_mcp.transcript import Server, open_server

log = logging.getLogger(__name__)

CLEAR_S = 60.0
TEMPLATE = "demo"  # as the operator would name it with --template, and the directory in the demo's own
PORT = 8000  # in a container of its own every port is free
APPLETS = ("sh", "cat", "echo", "grep", "ls", "sleep", "tee", "wget", "httpd")

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

    def server(self) -> AbstractAsyncContextManager[Server]:
        """A server in this place, and a client of it."""
        return open_server(self.settings, self.directory)


@asynccontextmanager
async def open_stage(settings: Settings) -> AsyncGenerator[Stage]:
    """Find something to run the demo in; leaving the block clears everything away that the demo made.

    Raises:
        NoStageError: there is nothing.
    """
    directory = Path(tempfile.mkdtemp(prefix="ws-mcp-demo-"))
    mine = settings.model_copy(update={"state": directory / "state"})
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


@dataclass(slots=True, kw_only=True)
class _Props:
    """What the demo made on the engine besides its workspaces."""

    engine: Engine | None
    images: list[str] = field(default_factory=list[str])


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
    return Stage(
        settings=settings.model_copy(
            update={"image": image, "template": {**settings.template, TEMPLATE: directory / TEMPLATE}}
        ),
        kind=WorkspaceKind.CONTAINER,
        words=f"containers of {info.kind} {info.version}, image {image} ({origin})",
        is_here=info.endpoint.startswith("unix://"),
        port=PORT,
        directory=directory,
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


def static_busybox() -> Path | None:
    """A busybox of this machine that runs without its libraries, if there is one."""
    found = shutil.which("busybox") if sys.platform == "linux" else None
    # A program that needs a loader names it in its first page: `/lib64/ld-linux-x86-64.so.2` or the like.
    return Path(found) if found and b"/ld-" not in Path(found).read_bytes()[:4096] else None


def image_tar(busybox: Path) -> bytes:
    """A root file system with busybox and nothing else."""
    program, content = tarfile.TarInfo("bin/busybox"), busybox.read_bytes()
    program.size, program.mode = len(content), 0o755
    entries = [(program, content)]
    for applet in APPLETS:
        link = tarfile.TarInfo(f"bin/{applet}")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        entries.append((link, b""))
    return tar_of(*entries)


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
