"""What `ws-mcp health` says of a server, and its exit code."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
import pytest

from ws_mcp.cli import run
from ws_mcp.edge.telling import Page, open_telling


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
async def test_it_prints_what_the_server_says_of_itself(
    real_io: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int, code: int
) -> None:
    async def readyz() -> Page:
        return Page(status=status, text="as it is\n")

    where = f"unix:{tmp_path}/socket"
    async with open_telling(where, {"/readyz": readyz}, None):
        assert await anyio.to_thread.run_sync(run, ["health", "--metrics", where]) == code
    assert capsys.readouterr().out == "as it is\n"


def test_it_says_when_no_server_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["health", "--metrics", f"unix:{tmp_path}/socket"]) == 1
    assert "no server answers at" in capsys.readouterr().err


@pytest.mark.parametrize("metrics", ["", "127.0.0.1:9464"])
def test_it_has_to_be_told_the_socket(metrics: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["health", *(["--metrics", metrics] if metrics else [])]) == 1
    assert "--metrics unix:/PATH" in capsys.readouterr().err
