"""What is said of a folder whose dev container works, but not as its owner may expect."""

from __future__ import annotations

from pathlib import Path

import pytest

from ws_mcp.core.devcontainers.hints import WORKTREE, hints_of


@pytest.mark.usefixtures("real_io")
async def test_a_worktree_is_said(tmp_path: Path) -> None:
    assert await hints_of(str(tmp_path)) == ()
    (tmp_path / ".git").write_text("gitdir: elsewhere\n")
    assert await hints_of(str(tmp_path)) == (WORKTREE,)
