"""Projects with dev container definitions on real files, and their fingerprints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ws_mcp.core.devcontainers.fingerprint import fingerprint_of, read_definition
from ws_mcp.core.devcontainers.inputs import Inputs, Look
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.port import Definition, Fingerprint
from ws_mcp.core.devcontainers.reasons import reasons_of
from ws_mcp.core.host.model import HostRules

CONFIG = ".devcontainer/devcontainer.json"
DOCKERFILE = ".devcontainer/Dockerfile"
COMPOSE = ".devcontainer/docker-compose.yml"

BUILT: dict[str, object] = {
    "name": "built",
    "build": {"dockerfile": "Dockerfile", "context": "..", "args": {"VARIANT": "a"}},
    "features": {"./tool": {"version": "1"}},
    "containerEnv": {"A": "1"},
    "postCreateCommand": "true",
    "remoteEnv": {"R": "1"},
}
BUILT_DOCKERFILE = """\
ARG VARIANT
FROM debian:12
# a remark
RUN apt-get update \\
    && apt-get install -y git
COPY requirements.txt /tmp/
COPY src/ /src/
"""
COMPOSED: dict[str, object] = {"dockerComposeFile": ["docker-compose.yml", "extra.yml"], "service": "app"}
COMPOSED_YAML = """\
# a remark
x-shared: &shared
  environment:
    LEVEL: ${LEVEL:-1}
services:
  app:
    <<: *shared
    build:
      context: ..
      dockerfile: .devcontainer/Dockerfile
      args: {VARIANT: a}
    env_file: app.env
  db:
    image: postgres:16
"""


@dataclass(slots=True)
class Project:
    """A folder below a root that the operator allows."""

    folder: Path
    config: str = CONFIG
    inputs: Inputs = field(init=False)

    def __post_init__(self) -> None:
        self.inputs = Inputs(HostRules(roots=(self.folder,)))

    @property
    def key(self) -> Key:
        return Key(folder=str(self.folder), config=str(self.folder / self.config))

    def write(self, path: str, content: str | bytes | Mapping[str, object]) -> Path:
        """A file in the folder, with the directories that it needs."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            file.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
        return file

    def change(self, path: str, old: str, new: str) -> None:
        """An edit, which has to find what it is for."""
        text = (self.folder / path).read_text()
        assert old in text
        self.write(path, text.replace(old, new))

    def set(self, **properties: object) -> None:
        """Properties of the definition; None takes one away."""
        now = {**json.loads((self.folder / self.config).read_text()), **properties}
        self.write(self.config, {name: value for name, value in now.items() if value is not None})

    def look(self) -> Fingerprint:
        """What it would be made from now."""
        self.inputs.begin()
        return fingerprint_of(self.key, self.inputs, Look(str(self.folder)))

    def definition(self) -> Definition:
        """As it is now."""
        self.inputs.begin()
        return read_definition(self.key, self.inputs, Look(str(self.folder)))

    def reasons_since(self, before: Fingerprint) -> tuple[str, ...]:
        """Why something that was made from `before` is out of date."""
        return reasons_of(before.parts, self.look().parts)


def built(folder: Path) -> Project:
    """A project with a Dockerfile, a local feature, and files that are copied."""
    project = Project(folder)
    project.write(CONFIG, BUILT)
    project.write(DOCKERFILE, BUILT_DOCKERFILE)
    project.write(".devcontainer/tool/devcontainer-feature.json", {"id": "tool", "version": "1"})
    project.write(".devcontainer/tool/install.sh", "#!/bin/sh\n")
    project.write("requirements.txt", "requests\n")
    project.write("src/main.py", "print()\n")
    project.write("README.md", "hello\n")
    return project


def composed(folder: Path) -> Project:
    """A project of two compose files, a service that is built, and env files."""
    project = Project(folder)
    project.write(CONFIG, COMPOSED)
    project.write(COMPOSE, COMPOSED_YAML)
    project.write(".devcontainer/extra.yml", "services:\n  app:\n    command: sleep infinity\n")
    project.write(".devcontainer/app.env", "# remark\nTOKEN=1\n")
    project.write(".devcontainer/.env", "LEVEL=2\nUNUSED=1\n")
    project.write(DOCKERFILE, BUILT_DOCKERFILE)
    project.write("requirements.txt", "requests\n")
    project.write("src/main.py", "print()\n")
    return project
