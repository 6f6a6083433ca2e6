"""Every choice of an operator, from flags and the environment, with unit, default and reason."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def default_state() -> Path:
    """Where state is kept: the platform's directory for it."""
    if os.environ.get("XDG_STATE_HOME"):
        return Path(os.environ["XDG_STATE_HOME"]) / "ws-mcp"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "ws-mcp"
    return Path.home() / ".local" / "state" / "ws-mcp"


def _pairs(value: object) -> object:
    """`NAME=VALUE` from a flag each, or from a variable with commas between them."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part]
    if not isinstance(value, list):
        return value
    pairs = [str(part).partition("=") for part in cast("list[object]", value)]
    if not all(name and separator for name, separator, _ in pairs):
        raise ValueError("is NAME=VALUE; several are several flags, or stand in the variable with commas between")
    return {name: text for name, _, text in pairs}


def _paths(value: object) -> object:
    """Directories from a flag each, or from a variable like PATH."""
    return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value


Directories = Annotated[tuple[Path, ...], BeforeValidator(_paths)]
NamedDirectories = Annotated[dict[str, Path], BeforeValidator(_pairs)]
Names = Annotated[dict[str, str], BeforeValidator(_pairs)]
Numbers = Annotated[dict[str, Annotated[float, Field(gt=0)]], BeforeValidator(_pairs)]


class Settings(BaseModel):
    """The settings of one server. Flags win over `WS_MCP_*` variables, those over the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Annotated[Path, Field(description="State directory; one instance, also for several servers")] = Field(
        default_factory=default_state
    )
    engine: Annotated[
        str, Field(description="Engine endpoint; empty: the current docker context. 'none': no engine")
    ] = ""
    image: Annotated[str, Field(description="Image of a workspace that does not name one; empty: it must")] = ""
    runtime: Annotated[Names, Field(description="NAME=IMAGE: a name that callers may give instead of an image")] = {}
    pull: Annotated[bool, Field(description="Pull images that are not on the engine when a workspace needs them")] = (
        False
    )
    max_tier: Annotated[
        int, Field(ge=1, le=4, description="Highest tier that callers may ask for; 3 and 4 are root on the host")
    ] = 2
    size: Annotated[
        Numbers, Field(description="TIER.NAME=N: memory_mib, cpus, pids, tmpfs_mib or log_mib of a tier's containers")
    ] = {}
    largest: Annotated[Numbers, Field(description="NAME=N: the most of a size that a caller may ask for")] = {}
    root: Annotated[
        Directories, Field(description="Directory below which callers may name folders and programs to mount")
    ] = ()
    template: Annotated[
        NamedDirectories, Field(description="NAME=DIRECTORY: files that callers may have in /configs")
    ] = {}
    home: Annotated[
        NamedDirectories, Field(description="NAME=DIRECTORY: files that callers may have in the home directory")
    ] = {}
    server_url: Annotated[str, Field(description="URL that workspaces find in WS_MCP_URL; empty: none")] = ""
    container_runtime: Annotated[
        str, Field(description="Runtime of the engine for workspaces (runsc, kata); empty: its own")
    ] = ""
    workspaces: Annotated[int, Field(ge=1, le=1000, description="Container workspaces of one chat")] = 16
    idle_stop_s: Annotated[
        int, Field(ge=0, description="Stop containers in which nothing ran for so long, in seconds; 0: never")
    ] = 0
    allow_host_processes: Annotated[
        bool, Field(description="Local workspaces without a sandbox where bubblewrap is missing")
    ] = False
    local_network: Annotated[
        bool, Field(description="Local workspaces see this machine's network, its loopback included")
    ] = False
    keep_local: Annotated[bool, Field(description="Keep local processes when the server is stopped cleanly")] = False
    running: Annotated[
        int, Field(ge=1, le=10_000, description="Running processes of one chat, over all its workspaces")
    ] = 32
    ended: Annotated[int, Field(ge=0, le=10_000, description="Ended processes of one chat that keep their output")] = (
        100
    )
    head_bytes: Annotated[int, Field(ge=0, le=64 << 20, description="First bytes of each output that are kept")] = (
        64 << 10
    )
    tail_bytes: Annotated[int, Field(ge=4096, le=64 << 20, description="Last bytes of each output that are kept")] = (
        1 << 20
    )


def from_environment() -> dict[str, str]:
    """The `WS_MCP_<SETTING>` variables that are set, by setting."""
    names = {f"WS_MCP_{name.upper()}": name for name in Settings.model_fields}
    return {names[name]: value for name, value in os.environ.items() if name in names}
