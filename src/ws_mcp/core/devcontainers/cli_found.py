"""Finds the dev container CLI: the operator's, the one on PATH, or the one that `make devcontainers` installed.

It says what to run where there is none, where it is too old, and where its Node is.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio

from ws_mcp.core.devcontainers.port import CliMissingError
from ws_mcp.core.errors import StartError, one_line
from ws_mcp.core.host.command import run_command

OLDEST = (0, 87, 0)  # knows --no-lockfile
OLDEST_NODE = (20, 0, 0)
ASK_S = 20.0  # for a version: 0.2 s, more on a machine that is busy
HOW = "run `make devcontainers` where ws-mcp was installed, or `npm install --global @devcontainers/cli`"
NODE_HOW = "install Node 20 or newer (https://nodejs.org) on the machine of the server"
# Where the Makefile puts it: it goes with the virtual environment.
OWN = Path(sys.prefix) / "devcontainers" / "node_modules" / ".bin" / "devcontainer"
_VERSION = re.compile(r"(?m)^v?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCli:
    """The CLI that will be run."""

    path: Path
    version: str


async def find_cli(setting: str, environment: Mapping[str, str], own: Path = OWN) -> FoundCli:
    """The CLI. `setting`: the operator's choice, which alone is looked at when it is not empty.

    Raises:
        CliMissingError: there is none, or it or its Node is too old, or it does not answer.
    """
    path = await anyio.to_thread.run_sync(_path, setting, environment.get("PATH", ""), own)
    if await anyio.to_thread.run_sync(_is_for_node, path):
        await _check_node(environment)
    text = await _version(path, environment, f"the dev container CLI does not answer; {HOW}")
    if _number(text) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise CliMissingError(f"the dev container CLI is {one_line(text, 40)}, {oldest} or newer is needed: {HOW}")
    return FoundCli(path=path, version=text)


def _path(setting: str, search: str, own: Path) -> Path:
    if setting:
        found = shutil.which(setting, path=search)
        if found is None:
            raise CliMissingError(f"the dev container CLI that the operator named is not there or no program; {HOW}")
        return Path(found).absolute()
    for candidate in (shutil.which("devcontainer", path=search), shutil.which(str(own))):
        if candidate:
            return Path(candidate).absolute()
    raise CliMissingError(f"dev containers need the dev container CLI, which is not installed: {HOW}")


def _is_for_node(path: Path) -> bool:
    """Whether it looks for Node itself. Editors bring one that has its own."""
    try:
        with path.open("rb") as program:
            return b"node" in program.readline(200)
    except OSError:
        return False


async def node_version(environment: Mapping[str, str]) -> str:
    """The version of the Node that the CLI would be run with.

    Raises:
        CliMissingError: there is none.
    """
    return await _version(Path("node"), environment, f"the dev container CLI needs Node: {NODE_HOW}")


async def _check_node(environment: Mapping[str, str]) -> None:
    text = await node_version(environment)
    if _number(text) < OLDEST_NODE:
        raise CliMissingError(f"Node is {one_line(text, 40)}, too old for the dev container CLI: {NODE_HOW}")


async def _version(program: Path, environment: Mapping[str, str], otherwise: str) -> str:
    try:
        with anyio.fail_after(ASK_S):
            done = await run_command((str(program), "--version"), environment=environment, hear=_nothing)
    except (StartError, TimeoutError) as error:
        raise CliMissingError(otherwise) from error
    found = _VERSION.search(done.stdout.decode(errors="replace"))
    if done.code or found is None:
        raise CliMissingError(otherwise)
    return found[0]


def _number(text: str) -> tuple[int, ...]:
    found = _VERSION.match(text)
    assert found is not None
    return tuple(map(int, found.groups()))


def _nothing(line: bytes) -> None:
    """What it says besides its version is not heard."""
