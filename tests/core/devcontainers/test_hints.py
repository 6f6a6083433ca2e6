"""What is said of a definition that works, but not as its author may expect."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fake_engine import FakeEngine

from ws_mcp.core.devcontainers.hints import WORKTREE, hints_on
from ws_mcp.core.devcontainers.model import Key, Kind
from ws_mcp.core.devcontainers.port import Definition


def definition(folder: Path, **properties: object) -> Definition:
    key = Key(folder=str(folder), config=f"{folder}/.devcontainer.json")
    return Definition(key=key, kind=Kind.IMAGE, text="", properties=properties)


@pytest.mark.usefixtures("real_io")
async def test_a_worktree_and_too_few_processors_are_said(tmp_path: Path) -> None:
    hints = hints_on(FakeEngine())
    assert await hints(definition(tmp_path)) == ()
    (tmp_path / ".git").write_text("gitdir: elsewhere\n")
    assert await hints(definition(tmp_path)) == (WORKTREE,)
    (told, _) = await hints(definition(tmp_path, hostRequirements={"cpus": 4096}))
    assert "4096 CPUs" in told
