"""The bundle for Claude Desktop, by the official packer: it is valid, and what is in it starts as a host starts it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from support.built import ROOT, make_dist
from support.mcpb import command_of, mcpb
from support.wheelhouse import BIN, bare_environment

MOST_BYTES = 24 << 20


@pytest.fixture(scope="module")
def bundle(mcpb_packer: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked bundle."""
    directory = tmp_path_factory.mktemp("bundle")
    packed = directory / "ws-mcp.mcpb"
    make_dist(directory / "source", "bundle")
    mcpb("pack", str(directory / "source"), str(packed))
    assert packed.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(packed) as opened:
        opened.extractall(directory / "ws-mcp")
    return directory / "ws-mcp"


def test_the_manifest_is_valid_and_the_bundle_has_our_wheels_and_three_files(bundle: Path) -> None:
    assert "validation passes" in mcpb("validate", str(ROOT / "release" / "mcpb" / "manifest.json"))
    assert {path.name for path in bundle.iterdir()} == {"manifest.json", "pyproject.toml", "server.py", "wheels"}
    assert len(list((bundle / "wheels").iterdir())) == 4


@pytest.mark.parametrize("chose", [False, True], ids=["nothing", "all"])
@pytest.mark.usefixtures("real_io", "wheelhouse")
async def test_it_starts_with_what_a_person_chose(bundle: Path, tmp_path: Path, *, chose: bool) -> None:
    folders = [tmp_path / "one folder", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    roots = list(map(str, folders))
    chosen = {"roots": roots, "read_only": True, "engine": "none", "image": "a:1", "pull": True}
    command = command_of(bundle, chosen if chose else {})
    assert [word for word in command.argv if "${" in word] == []
    assert [word for word in command.argv if word in roots] == (roots if chose else [])
    environment = {**bare_environment(tmp_path), **command.environment}
    parameters = StdioServerParameters(
        command=str(BIN / command.argv[0]), args=list(command.argv[1:]), env=environment, cwd=tmp_path
    )
    with (tmp_path / "log").open("w") as log, anyio.fail_after(60):
        async with Client(stdio_client(parameters, log)) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
    assert "list_processes" in tools
    assert ("start_process" in tools) is not chose
