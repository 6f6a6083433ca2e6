"""A server at the moment before its end: processes in each place, a call that waits, a provision in its middle."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import secrets
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import anyio
from anyio.to_thread import run_sync as in_thread

from support import faulty_server
from support.ends_callers import CHAT_HEADER, Caller, HttpCaller, StdioCaller
from support.engine_proxy import EngineProxy, open_proxy
from support.forked import forked_argv
from support.instances import IMAGE, Instance
from support.peers import MODULE, server_argv, until
from support.raw_client import RawClient, open_child
from support.server_process import open_http
from ws_mcp.edge.left_work import LEFT

CUT = re.compile(rf'"outcome": ?"(?:cut short|{LEFT})"')
CREATE = "POST /containers/create"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A server: its client, the child that ends as it does, its pid, and what it writes to stderr."""

    caller: Caller
    child: subprocess.Popen[bytes]
    pid: int
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`local`, `boxed`: what the processes there are called on this machine. `half`: what is being provisioned."""

    instance: Instance
    server: Opened
    proxy: EngineProxy
    directory: Path
    half: str
    local: str
    boxed: str

    @property
    def caller(self) -> Caller:
        """Its client."""
        return self.server.caller

    @property
    def metrics(self) -> Path:
        """The socket of its metrics."""
        return self.directory / "server" / "metrics"

    @property
    def ran_out(self) -> bool:
        """Whether the server said that its time was not enough to close all, as on a busy machine."""
        return "not everything could be closed in time" in self.server.log.read_text()

    def tell(self, taken: signal.Signals) -> None:
        """Send the server a signal."""
        os.kill(self.server.pid, taken)

    async def ended(self) -> int:
        """Its exit code, as shells count; the caller bounds the wait."""
        code = await in_thread(self.server.child.wait, abandon_on_cancel=True)
        return code if code >= 0 else 128 - code

    def of_half(self) -> list[str]:
        """What the engine has of what was being provisioned."""
        having = ("--filter", f"label=dev.ws-mcp.workspace={self.half}", "--format", "{{.Name}}")
        names = ("--filter", having[1], "--format", "{{.Names}}")
        mine = self.instance.docker("ps", "--all", *names).split()
        return mine + [
            name for kind in ("volume", "network") for name in self.instance.docker(kind, "ls", *having).split()
        ]


def calls_cut(pid: int) -> int:
    """How many calls a server has written down as cut: the client had gone before they ended."""
    links = [path for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()]
    files = {path.resolve() for path in links if path.resolve().parent.name == "audit"}
    return sum(len(CUT.findall(path.read_text())) for path in files)


def pid_of(name: str) -> int:
    """The process that is called `sleep` and this; 0: there is none."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", name.encode()]:
                return int(path.parent.name)
        except OSError:
            continue
    return 0


def parent_of(pid: int) -> int:
    """Who started it."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@contextmanager
def _terminal(argv: Sequence[str], log: Path) -> Generator[subprocess.Popen[bytes]]:
    """A server in a terminal of its own, which closes when both of its streams are closed."""
    ours, its = pty.openpty()
    tty.setraw(its)
    with log.open("wb") as errors:
        child = subprocess.Popen(
            argv,
            stdin=its,
            stdout=its,
            stderr=errors,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no thread holds a lock of it
        )
    os.close(its)
    child.stdin, child.stdout = os.fdopen(os.dup(ours), "wb", 0), os.fdopen(ours, "rb", 0)
    try:
        yield child
    finally:
        child.stdin.close()
        child.stdout.close()
        child.kill()
        child.wait()


@contextmanager
def _stdio(
    instance: Instance, directory: Path, kind: str, flags: Sequence[str], environment: dict[str, str]
) -> Generator[Opened]:
    argv, log, pid_file = server_argv("stdio", instance.state, *flags), directory / "stdio.log", directory / "pid"
    whole = {**os.environ, **environment}
    if kind == "terminal":
        opened = _terminal(("env", *(f"{name}={value}" for name, value in environment.items()), *argv), log)
    elif kind == "faulty":
        opened = open_child((sys.executable, faulty_server.__file__, *argv[MODULE:]), log, only=whole)
    else:
        opened = open_child(forked_argv(pid_file, *argv[MODULE:]), log, only=whole)
    with opened as child:
        client = RawClient(child)
        client.connect()
        pid = int(pid_file.read_text()) if pid_file.exists() else child.pid
        yield Opened(caller=StdioCaller(client), child=child, pid=pid, log=log)


@contextmanager
def _http(instance: Instance, flags: Sequence[str], environment: dict[str, str]) -> Generator[Opened]:
    with open_http(instance.state, *flags, environment=environment) as server:
        log = instance.state.parent / f"http-{urlsplit(server.url).port}.log"
        caller = HttpCaller(server)
        try:
            yield Opened(caller=caller, child=server.child, pid=server.pid, log=log)
        finally:
            caller.leave()


@asynccontextmanager
async def open_server(
    instance: Instance, directory: Path, over: str, *, kind: str = "", flags: Sequence[str] = (), engine: str = ""
) -> AsyncGenerator[Opened]:
    """A server over a transport; what it writes for a while is below `directory`."""
    (directory / "tmp").mkdir(parents=True)
    environment = {"TMPDIR": str(directory / "tmp"), **({"DOCKER_HOST": engine} if engine else {})}
    whole = ("--image", IMAGE, "--allow-host-processes", "--metrics", f"unix:{directory / 'metrics'}", *flags)
    is_http = over == "HTTP"
    whole += ("--chat-header", CHAT_HEADER) if is_http else ()
    opened = _http(instance, whole, environment) if is_http else _stdio(instance, directory, kind, whole, environment)
    with ExitStack() as stack:
        server = await in_thread(stack.enter_context, opened)
        try:
            yield server
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(stack.close)


async def staged(scene: Scene, here: str) -> None:
    """Begin all of it, and wait until the provision is in its middle: its container is there, it was not told so."""
    ok = scene.caller.ok
    await in_thread(partial(ok, "provision_workspace", name="box", kind="container"))
    await in_thread(partial(ok, "provision_workspace", name=here, kind="local"))
    await in_thread(partial(ok, "start_process", command=f"exec sleep {scene.boxed}", workspace="box", wait_s=0))
    started = partial(ok, "start_process", command=f"exec sleep {scene.local}", workspace=here, wait_s=0)
    process = (await in_thread(started))["process_id"]
    waiting = partial(scene.caller.begin, "read_output", process_id=process, wait_for="exit", wait_s=45)
    await in_thread(waiting)
    scene.proxy.hangs_at = lambda call: call.startswith(CREATE)
    await in_thread(partial(scene.caller.begin, "provision_workspace", name=scene.half, kind="container"))
    await scene.proxy.hangs.wait()
    await until(partial(_is_there, scene))


async def _is_there(scene: Scene) -> bool:
    return bool(await in_thread(scene.of_half)) and bool(pid_of(scene.local)) and bool(pid_of(scene.boxed))


@asynccontextmanager
async def open_scene(
    instance: Instance, directory: Path, over: str, *, kind: str = "", flags: Sequence[str] = (), here: str = "here"
) -> AsyncGenerator[Scene]:
    """A server and all that goes on in it."""
    await anyio.Path(directory).mkdir()
    name = 1_000_000_000 + secrets.randbelow(900_000_000)  # seconds that nobody else on this machine sleeps
    async with (
        open_proxy(directory / "docker.sock") as proxy,
        open_server(instance, directory / "server", over, kind=kind, flags=flags, engine=proxy.url) as server,
    ):
        scene = Scene(
            instance=instance,
            server=server,
            proxy=proxy,
            directory=directory,
            half=directory.name,
            local=str(name),
            boxed=str(name + 1),
        )
        try:
            with anyio.fail_after(60):
                await staged(scene, here)
            yield scene
        finally:
            proxy.go_on()
