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
