"""T12: no variable of this server reaches what it starts, and none of a caller's rules a program of the host."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from support.peers import MODES, Peer, open_peer
from support.tier_probe import output_of

from ws_mcp.core.host.command import allowed_environment

pytestmark = [
    pytest.mark.usefixtures("real_io"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
]
CANARY = f"canary-{os.urandom(8).hex()}"
RULERS = (
    "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "BASH_ENV", "ENV", "PYTHONPATH", "PYTHONSTARTUP", "NODE_OPTIONS",
    "RUSTUP_TOOLCHAIN", "RUSTUP_HOME", "CARGO_HOME", "GIT_SSH_COMMAND", "GIT_CONFIG_GLOBAL", "PERL5OPT", "RUBYOPT",
    "JAVA_TOOL_OPTIONS", "GCONV_PATH", "TERMINFO", "DOCKER_AUTH_CONFIG", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN",
)  # fmt: skip
SAFE_HERE = tuple(name for name in RULERS if not name.startswith(("LD_", "PYTHON", "GCONV")))  # the server lives on


@asynccontextmanager
async def open_local(tmp_path: Path, mode: str = "auto", **environment: str) -> AsyncGenerator[Peer]:
    """A server without an engine."""
    flags = ("--engine", "none", "--audit", "on")
    async with open_peer(tmp_path / "state", *flags, mode=mode, environment=environment) as peer:
        yield peer


def outside_of(state: Path) -> str:
    """The environment of what holds the sandbox, on the host."""
    (pid,) = (file.read_text().split()[0] for file in state.glob("local/*/pid"))
    return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")


@pytest.mark.parametrize("mode", MODES)
async def test_the_servers_variables_are_not_in_what_it_starts(mode: str, tmp_path: Path) -> None:
    async with open_local(tmp_path, mode, **dict.fromkeys(SAFE_HERE, CANARY)) as peer:
        with anyio.fail_after(60):
            await peer.ok("provision_workspace")
            inside = await output_of(peer, "cat /proc/self/environ /proc/1/environ /proc/$PPID/environ 2>/dev/null")
            assert "WSMCP_" in inside or "PATH=" in inside
            assert CANARY not in inside
            assert CANARY not in outside_of(tmp_path / "state")


@pytest.mark.parametrize("name", RULERS)
def test_a_program_of_the_host_is_given_none_that_rules_it_or_is_a_secret(name: str) -> None:
    assert allowed_environment({name: CANARY, "PATH": "/bin"}) == {"PATH": "/bin"}


async def test_a_callers_variables_reach_the_inside_only(tmp_path: Path) -> None:
    async with open_local(tmp_path) as peer:
        with anyio.fail_after(60):
            await peer.ok("provision_workspace", env={"BASH_ENV": CANARY, "GIT_SSH_COMMAND": CANARY})
            assert await output_of(peer, "echo $GIT_SSH_COMMAND 2>/dev/null") == CANARY
            assert CANARY not in outside_of(tmp_path / "state")


@pytest.mark.parametrize("name", ["WSMCP_VERIFIER", "WS_MCP_CHAT", "WSMCP_", "A B", "A-B", "1A", "ÄÖ"])
async def test_names_of_the_server_and_unusable_ones_are_refused_and_nothing_is_made(name: str, tmp_path: Path) -> None:
    async with open_local(tmp_path) as peer:
        with anyio.fail_after(60):
            text = await peer.refused("provision_workspace", env={name: CANARY})
            assert CANARY not in text
            assert await peer.workspaces() == {}
            assert not (tmp_path / "state" / "local").exists() or not list((tmp_path / "state" / "local").iterdir())
