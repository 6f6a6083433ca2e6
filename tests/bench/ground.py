"""What the measurements stand on: one server of ours, one empty server of the SDK, workspaces, and the docker CLI."""

from __future__ import annotations

import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tests.support.docker_cli import INSTANCE, docker, remove_instance
from tests.support.memory import field_of
from tests.support.raw_client import RawClient, open_raw_client

ROOT = Path(__file__).parents[2]
IMAGE = "wsmcp-bench-busybox:3"
EMPTY = (sys.executable, str(ROOT / "tests" / "bench" / "empty_server.py"))
SETTLE_S = 1.0
# Those of the first line for the lines of this benchmark, those of the second for the dev container CLI.
APPLETS = (
    *("sh", "true", "echo", "sleep", "dd", "cat"),
    *("uname", "id", "ps", "ls", "mkdir", "test", "stat", "env", "grep", "readlink", "chmod"),
)
LABELS = "{{json .Config.Labels}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A workspace and the full id of its container."""

    workspace: str
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The servers of one run. `log` has what ours wrote to stderr."""

    ours: RawClient
    empty: RawClient
    argv: tuple[str, ...]
    state: Path
    log: Path

    @contextmanager
    def open_place(self) -> Generator[Place]:
        """A workspace of its own, removed with its data at the end."""
        name = f"bench-{secrets.token_hex(4)}"
        self.ours.ok("provision_workspace", name=name)
        try:
            found = docker("ps", "--quiet", "--no-trunc", "--filter", f"label=dev.ws-mcp.workspace={name}")
            yield Place(workspace=name, container=found.strip())
        finally:
            self.ours.call("remove_workspace", name=name, keep_data=False)


@contextmanager
def open_ground() -> Generator[Ground]:
    """Both servers, on a state directory that is thrown away with everything that it made on the engine."""
    make_image()
    with tempfile.TemporaryDirectory(prefix="ws-mcp-bench-") as directory, ExitStack() as stack:
        instances: list[str] = []
        # When our server is gone: it may be in the middle of something.
        stack.callback(lambda: [remove_instance(instance) for instance in instances])
        log, state = Path(directory) / "server.log", Path(directory) / "state"
        argv = server_argv(state)
        ours = stack.enter_context(open_raw_client(argv, log=log))
        empty = stack.enter_context(open_raw_client(EMPTY))
        ground = Ground(ours=ours, empty=empty, argv=argv, state=state, log=log)
        with ground.open_place() as first:  # brings execd to the engine, and tells which labels are ours
            labels = cast("dict[str, str]", json.loads(docker("inspect", "--format", LABELS, first.container)))
        instances.append(labels[INSTANCE])
        yield ground


def server_argv(state: Path) -> tuple[str, ...]:
    """How our server is started: as hosts do, with more room for the lines about many."""
    flags = ("--state", str(state), "--image", IMAGE, "--running", "1200", "--workspaces", "300")
    return (sys.executable, "-m", "ws_mcp", "stdio", *flags)


def local_argv(state: Path) -> tuple[str, ...]:
    """How one is started that needs no engine."""
    return (sys.executable, "-m", "ws_mcp", "stdio", "--state", str(state), "--engine", "none")


def exec_argv(place: Place, command: str) -> tuple[str, ...]:
    """The alternative: the same command, as `start_process` runs it, by `docker exec`."""
    return ("docker", "exec", "--workdir", "/workspace", place.container, "sh", "-c", command)


def settle() -> None:
    """Let the engine clear up after `docker exec`: it goes on for a while when the client has its answer already."""
    time.sleep(SETTLE_S)


def make_image() -> None:
    """A busybox image, made from the static busybox of this machine; no registry is needed."""
    if docker("images", "--quiet", IMAGE).strip():
        return
    with tempfile.TemporaryDirectory() as directory:
        programs = Path(directory) / "bin"
        programs.mkdir()
        (programs / "busybox").write_bytes(Path("/bin/busybox").read_bytes())
        (programs / "busybox").chmod(0o755)
        for name in APPLETS:
            (programs / name).symlink_to("busybox")
        for name in ("etc", "root", "tmp", "workspace"):
            (Path(directory) / name).mkdir()
        (Path(directory) / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        tar = subprocess.run(("tar", "-C", directory, "-c", "."), check=True, capture_output=True)
        subprocess.run(("docker", "import", "-", IMAGE), check=True, input=tar.stdout, capture_output=True)


def memory_of_execd(place: Place, field: str = "VmRSS") -> int:
    """Memory of the execd of a workspace (its first process), in bytes."""
    return field_of(docker("exec", place.container, "cat", "/proc/1/status"), field)


def machine() -> str:
    """One line about where this ran, without names."""
    engine = cast("dict[str, dict[str, str]]", json.loads(docker("version", "--format", "{{json .}}")))["Server"]
    return host(f"Docker {engine['Version']}, ")


def host(engine: str = "") -> str:
    """The same, with what is said about an engine."""
    cpus = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.partition(":")[2].strip() for line in cpus.splitlines() if line.startswith("model name")), "")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} cores ({model or platform.machine()}), Linux {platform.release().split('-')[0]}, "
        f"{engine}Python {platform.python_version()}; load before the run {load}"
    )
