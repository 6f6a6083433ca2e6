"""Instances of ws-mcp on the real engine, each gone with its test."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import anyio
import pytest
from support.docker_cli import remove_instance
from support.instances import Instance, make_instance
from support.real_engine import EngineGround


@pytest.fixture
def instance(engine_ground: EngineGround, tmp_path: Path) -> Generator[Instance]:
    """A fresh instance on the real engine; all that it made there is removed at the end."""
    made = anyio.run(make_instance, tmp_path)
    yield made
    remove_instance(made.id)


@pytest.fixture
def other_instance(engine_ground: EngineGround, tmp_path: Path) -> Generator[Instance]:
    """A second one on the same engine."""
    made = anyio.run(make_instance, tmp_path / "other")
    yield made
    remove_instance(made.id)
