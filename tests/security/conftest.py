"""Instances of ws-mcp on the real engine, for the rows that speak of one."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from support.instances import Instance, open_instance
from support.real_engine import EngineGround


@pytest.fixture
def instance(engine_ground: EngineGround, tmp_path: Path) -> Generator[Instance]:
    """A fresh instance on the real engine; all that it made there is removed at the end."""
    with open_instance(tmp_path) as made:
        yield made


@pytest.fixture
def each_instance(each_ground: EngineGround, tmp_path: Path) -> Generator[Instance]:
    """The same, once on Docker and once on Podman where there is one."""
    with open_instance(tmp_path, each_ground.address) as made:
        yield made
