"""Every choice of an operator, from flags and the environment, with unit, default and reason."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


def default_state() -> Path:
    """Where state is kept: the platform's directory for it."""
    if os.environ.get("XDG_STATE_HOME"):
        return Path(os.environ["XDG_STATE_HOME"]) / "ws-mcp"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "ws-mcp"
    return Path.home() / ".local" / "state" / "ws-mcp"


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
