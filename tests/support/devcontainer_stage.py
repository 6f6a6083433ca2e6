"""Where the contract of the dev container CLI is run: a folder, its definition, a CLI, an engine.

A `Scene` says what a definition does; for the real CLI it is written down as files, for the fake it is told.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.devcontainer_ground import DevcontainerGround
from support.devcontainer_scene import FAILS, HANGS, Scene
from support.fake_devcontainer_cli import FakeDevcontainerCli
from support.fake_engine import FakeEngine
from support.images import BUSYBOX, Tree
from support.real_engine import LabelledEngine
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.port import DevcontainerCli
from ws_mcp.core.engine.model import Image
from ws_mcp.core.engine.port import Engine

HANG = "echo working; sleep 600"
FAILURE = "echo broken; exit 7"
COMMANDS = {FAILS: FAILURE, HANGS: HANG}


def text_of(scene: Scene) -> str:
    """The devcontainer.json of a scene."""
    hooks = {phase.value: COMMANDS.get(how, "echo working") for phase, how in scene.hooks.items()}
    kind: dict[str, Any] = {"build": {"dockerfile": "Dockerfile"}} if scene.build else {"image": BUSYBOX}
    return json.dumps({**kind, **hooks}).rstrip("}") + (", " if scene.is_cut_off else "}")


class Stage:
    """One dev container."""

    cli: DevcontainerCli
    engine: Engine

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = Key(folder=str(folder), config=str(folder / ".devcontainer" / "devcontainer.json"))

    def show(self, scene: Scene) -> None:
        """The definition does this from now on."""
        raise NotImplementedError

    def copy(self, scene: Scene) -> Path:
        """A checked copy that does this."""
        raise NotImplementedError

    def children(self) -> int:
        """Processes of the CLI that are there."""
        raise NotImplementedError


class FakeStage(Stage):
    """With the fake CLI on the fake engine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.engine = FakeEngine()
        self.engine.add_image(Image(id="sha256:" + "b" * 64, tags=(BUSYBOX,), architecture="amd64"), Tree().tar())
        self.fake = self.cli = FakeDevcontainerCli(self.engine)

    def show(self, scene: Scene) -> None:
        self.fake.scene = scene

    def copy(self, scene: Scene) -> Path:
        path = self.folder / "copy.json"
        self.fake.copies[path] = scene
        return path

    def children(self) -> int:
        return self.fake.running


class RealStage(Stage):
    """With the real CLI on the session's engine."""

    def __init__(self, folder: Path, ground: DevcontainerGround, engine: LabelledEngine) -> None:
        super().__init__(folder)
        ground.own(folder)
        self.engine = engine
        self.cli = ground.cli(engine)

    def show(self, scene: Scene) -> None:
        directory = Path(self.key.config).parent
        directory.mkdir(parents=True, exist_ok=True)
        Path(self.key.config).unlink(missing_ok=True)
        if not scene.is_missing:
            Path(self.key.config).write_text(text_of(scene))
        command = COMMANDS.get(scene.build, "true")
        (directory / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN echo working\nRUN {command}\n")

    def copy(self, scene: Scene) -> Path:
        path = self.folder.parent / "devcontainer.json"
        path.write_text(
            text_of(scene).replace('"Dockerfile"', json.dumps(str(Path(self.key.config).parent / "Dockerfile")))
        )
        return path

    def children(self) -> int:
        named = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(self.folder) in _read(path)]
        # One for each container is left on purpose: it ends with the container.
        return len([path for path in named if "--sig-proxy" not in _read(path)])


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


class OnFake:
    """Runs a contract on the fake, on both event loops."""

    @pytest.fixture
    def stage(self, tmp_path: Path) -> Stage:
        return FakeStage(tmp_path / "wsmcp-test-shop")


class OnReal:
    """Runs a contract on the real CLI and the session's engine."""

    @pytest.fixture
    def stage(self, tmp_path: Path, devcontainer_ground: DevcontainerGround, docker_engine: LabelledEngine) -> Stage:
        folder = tmp_path / "wsmcp-test-shop"
        folder.mkdir()
        return RealStage(folder, devcontainer_ground, docker_engine)
