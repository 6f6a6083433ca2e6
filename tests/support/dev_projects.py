"""A root of an operator's with projects, and servers for their dev containers: what end-to-end tests play with."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from support.devcontainer_ground import FOLDER, DevcontainerGround
from support.images import BUSYBOX
from support.instances import Instance
from support.peers import Json, Peer, text_of, until
from ws_mcp.core.devcontainers.cli_found import OWN

CONFIG = ".devcontainer/devcontainer.json"
PROJECT_FOLDER = "com.docker.compose.project.working_dir"
PREFIX = "wsmcp-test-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A folder with a definition, and what the engine has of it."""

    folder: Path
    instance: Instance

    @property
    def name(self) -> str:
        """What its dev container is called."""
        return self.folder.name

    def write(self, path: str, text: str) -> Path:
        """A file of it."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def define(self, config: str = CONFIG, /, **properties: object) -> None:
        """Write its definition; of the test image, if that says nothing else."""
        kinds = {"image", "build", "dockerComposeFile"}
        self.write(config, json.dumps(properties if kinds & properties.keys() else {"image": BUSYBOX, **properties}))

    def dockerfile(self, *lines: str, **properties: object) -> None:
        """Write a definition with a Dockerfile of these lines, after its first."""
        self.write(".devcontainer/Dockerfile", "\n".join((f"FROM {BUSYBOX}", *lines, "")))
        self.define(build={"dockerfile": "Dockerfile"}, **properties)

    @property
    def containers(self) -> list[str]:
        """The ids of the containers that name its folder, running or not, the newest first."""
        asked = ("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={FOLDER}={self.folder}")
        return self.instance.docker(*asked).split()

    def inspected(self, container: str = "") -> Json:
        """What the engine says of a container, its only one if none is named."""
        if not container:
            (container,) = self.containers
        (found,) = cast("list[Json]", json.loads(self.instance.docker("inspect", container)))
        return found

    @property
    def cli_processes(self) -> list[str]:
        """Processes of this machine that name the folder, without the client that each container has on purpose."""
        named = [_read(path).replace("\0", " ") for path in Path("/proc").glob("[0-9]*/cmdline")]
        return [line for line in named if str(self.folder) in line and "--sig-proxy" not in line]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projects:
    """The projects below one root, and the instance whose servers may use them."""

    root: Path
    instance: Instance
    environment: Mapping[str, str]
    made: list[Project] = field(default_factory=list[Project])

    def project(self, name: str = "shop") -> Project:
        """A folder without anything in it; its name is like no other on the engine."""
        number = f"{self.instance.id}"[-6:].lower()
        project = Project(folder=self.root / f"{PREFIX}{name}-{number}", instance=self.instance)
        project.folder.mkdir()
        self.made.append(project)
        return project

    @asynccontextmanager
    async def open_peer(
        self, *flags: str, mode: str = "auto", environment: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Peer]:
        """A server that may use the projects."""
        said = {**self.environment, **(environment or {})}
        async with self.instance.open_peer("--root", str(self.root), *flags, mode=mode, environment=said) as peer:
            yield peer

    def cli(self, *arguments: str) -> Json:
        """Run the dev container CLI by hand; what it answered."""
        argv = (str(OWN) if OWN.exists() else "devcontainer", *arguments)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return cast("Json", json.loads(done.stdout.splitlines()[-1]))

    def remove_all(self) -> None:
        """What was made for them on the engine."""
        docker = self.instance.docker
        containers: set[str] = set()
        for project in self.made:
            containers |= set(project.containers)
            for place in (project.folder, project.folder / ".devcontainer"):
                having = f"label={PROJECT_FOLDER}={place}"
                containers |= set(docker("ps", "--all", "--quiet", "--no-trunc", "--filter", having).split())
        if containers:
            docker("rm", "--force", "--volumes", *containers)
        names = {project.name for project in self.made}
        networks = docker("network", "ls", "--format", "{{.Name}}").split()
        for network in (each for each in networks if each.partition("_")[0] in names):
            docker("network", "rm", network)
        images = docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        ours = [image for image in images if any(name in image for name in names)]
        if ours:
            docker("rmi", "--force", *ours)


@contextmanager
def open_projects(
    instance: Instance, ground: DevcontainerGround, directory: Path, *, has_compose: bool = False
) -> Generator[Projects]:
    """A root without projects; what was made for them is gone from the engine at the end."""
    root = directory / "projects"
    root.mkdir()
    projects = Projects(root=root, instance=instance, environment=ground.compose() if has_compose else {})
    try:
        yield projects
    finally:
        projects.remove_all()


async def listed(peer: Peer, name: str) -> Json:
    """A dev container as the list has it."""
    found = await _all_listed(peer)
    assert name in found, f"{name!r} is not listed: {found}"
    return found[name]


async def recreate(peer: Peer, **arguments: object) -> Json:
    """Make or remake a dev container, to its end."""
    answer = await peer.ok("recreate_devcontainer", **arguments)
    while answer["change"] == "working":
        answer = await peer.ok("recreate_devcontainer", **arguments)
    return answer


async def failure(peer: Peer, **arguments: object) -> str:
    """What a recreate that must fail says; a failed one of the CLI ends with lines of its log."""
    result = await peer.call("recreate_devcontainer", **arguments)
    text = text_of(result)
    assert result.is_error, f"it did not fail: {result.structured_content}"
    assert text.strip()
    assert "Traceback" not in text
    return text


async def until_state(peer: Peer, name: str, is_so: Callable[[Json], bool]) -> Json:
    """Wait until the list says so of a dev container; the caller bounds the wait."""
    seen: list[Json] = []

    async def ask() -> bool:
        seen[:] = [each for listed_name, each in (await _all_listed(peer)).items() if listed_name == name]
        return bool(seen) and is_so(seen[0])

    await until(ask)
    return seen[0]


def container_of(answer: Json) -> str:
    """The id of the container in an answer to a recreate."""
    return str(cast("Json", answer["devcontainer"])["container"])


def texts_of(answer: Json, name: str) -> list[str]:
    """A list of texts in an answer; one that is empty is left out there."""
    return cast("list[str]", answer.get(name, []))


async def _all_listed(peer: Peer) -> dict[str, Json]:
    listing = await peer.ok("list_containers")
    return {str(each["name"]): each for each in cast("list[Json]", listing.get("devcontainers", []))}


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
