"""Every choice of an operator, from flags and the environment, with unit, default and reason."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

from ws_mcp.setting_texts import (
    absolute,
    allowance,
    constraint,
    database_address,
    listed,
    listening,
    named,
    node_tls,
    node_way,
    plain_name,
    web_address,
    whole,
    words,
)

MAX_TIER = 4
IDLE_S = 30 * 86_400
SIZES = "memory_mib, cpus, pids, tmpfs_mib, log_mib"
_LARGEST = re.compile(SIZES.replace(", ", "|"))
_SIZE = re.compile(rf"[1-{MAX_TIER}]\.(?:{_LARGEST.pattern})")


def default_state() -> Path:
    """Where state is kept: the platform's directory for it."""
    if os.environ.get("XDG_STATE_HOME"):
        return Path(os.environ["XDG_STATE_HOME"]) / "ws-mcp"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "ws-mcp"
    return Path.home() / ".local" / "state" / "ws-mcp"


@dataclass(frozen=True, slots=True)
class Metavar:
    """What a flag's value is called in its help; `is_repeated`: the flag can be given more than once."""

    text: str
    is_repeated: bool = True


_Directory = Annotated[Path, AfterValidator(absolute)]
_Directories = Annotated[tuple[_Directory, ...], BeforeValidator(listed), Metavar("DIR")]
_NamedDirectories = Annotated[dict[str, _Directory], BeforeValidator(named("NAME=DIR")), Metavar("NAME=DIR")]
_NamedImages = Annotated[dict[str, str], BeforeValidator(named("NAME=IMAGE")), Metavar("NAME=IMAGE")]
_Allowances = Annotated[tuple[Annotated[str, AfterValidator(allowance)], ...], BeforeValidator(words), Metavar("WORD")]
_NodeWays = Annotated[
    tuple[Annotated[str, AfterValidator(node_way)], ...], BeforeValidator(words), Metavar("PATTERN=ENDPOINT")
]
_NodeTls = Annotated[
    tuple[Annotated[str, AfterValidator(node_tls)], ...], BeforeValidator(words), Metavar("PATTERN=DIR")
]
_Constraints = Annotated[
    tuple[Annotated[str, AfterValidator(constraint)], ...], BeforeValidator(words), Metavar("TEXT")
]
_Labels = Annotated[
    dict[str, str], BeforeValidator(named("NAME=VALUE", re.compile(r"[!-<>-~]{1,200}"))), Metavar("NAME=VALUE")
]
_Number = Annotated[float, Field(gt=0, le=1 << 20, allow_inf_nan=False)]
_Sizes = Annotated[
    dict[str, _Number],
    BeforeValidator(named("TIER.NAME=VALUE", _SIZE, f"tiers 1 to {MAX_TIER}; {SIZES}")),
    AfterValidator(whole),
    Metavar("TIER.NAME=VALUE"),
]
_Largest = Annotated[
    dict[str, _Number],
    BeforeValidator(named("NAME=VALUE", _LARGEST, SIZES)),
    AfterValidator(whole),
    Metavar("NAME=VALUE"),
]


class Settings(BaseModel):
    """The settings of one server. Flags win over `WS_MCP_*` variables, those over the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Annotated[Path, Field(description="State directory; one instance, also for several servers")] = Field(
        default_factory=default_state
    )
    state_database: Annotated[
        str,
        AfterValidator(database_address),
        Field(description="PostgreSQL for servers of several machines, as postgresql://USER@HOST/DATABASE"),
    ] = Field(default="", repr=False)  # its variable can hold a password
    policy: Annotated[
        _Directory | None,
        Metavar("FILE", is_repeated=False),
        Field(description="File that says who may do what; flags can then only narrow it"),
    ] = None
    read_only: Annotated[bool, Field(description="Offer only tools that change nothing, whatever is granted")] = False
    tokens: Annotated[
        str, Field(description="File of the tokens of HTTP clients; empty: tokens in the state directory")
    ] = ""
    engine: Annotated[
        str, Field(description="Engine endpoint; empty: the current docker context. 'none': no engine")
    ] = ""
    placement: Annotated[
        Literal["single", "swarm"],
        Field(description="Where workspaces are: on the engine, or spread over the Docker Swarm that it manages"),
    ] = "single"
    node: Annotated[
        _NodeWays,
        Field(description="How the engines of a swarm's nodes are reached, as 'worker-*=ssh://{hostname}'"),
    ] = ()
    node_tls: Annotated[
        _NodeTls, Field(description="Directory of ca.pem, cert.pem and key.pem for nodes that are reached with TLS")
    ] = ()
    constraint: Annotated[
        _Constraints, Field(description="Where workspaces may be, as Swarm writes it: 'node.labels.disk==ssd'")
    ] = ()
    image: Annotated[str, Field(description="Image of a workspace that does not name one; empty: it must")] = ""
    runtime: Annotated[_NamedImages, Field(description="A name for an image, which workspaces can ask for")] = {}
    pull: Annotated[bool, Field(description="Pull images that the engine does not have, whichever is asked for")] = (
        False
    )
    max_tier: Annotated[
        int, Field(ge=1, le=MAX_TIER, description="Highest tier of workspaces; 3 and 4 are root on the host")
    ] = 2
    size: Annotated[
        _Sizes,
        Field(description=f"Size of a tier's workspaces, as 2.cpus=4: {SIZES}"),
    ] = {}
    largest: Annotated[
        _Largest, Field(description="Largest size that one workspace may ask for, by the same names; as cpus=8")
    ] = {}
    root: Annotated[
        _Directories,
        Field(description="Workspaces may be given folders below it; projects below it may have dev containers"),
    ] = ()
    template: Annotated[
        _NamedDirectories, Field(description="A name for a directory whose files can be put at /configs")
    ] = {}
    home: Annotated[
        _NamedDirectories, Field(description="A name for a directory that can be copied into a home directory")
    ] = {}
    devcontainer_allow: Annotated[
        _Allowances, Field(description="What definitions of dev containers may ask for besides, as initialize-command")
    ] = ()
    devcontainer_cli: Annotated[
        str, Field(description="The dev container CLI; empty: on PATH, or where `make devcontainers` put it")
    ] = ""
    devcontainer_label: Annotated[
        _Labels, Field(description="Only dev containers whose containers carry all of these labels")
    ] = {}
    server_url: Annotated[
        str, AfterValidator(web_address), Field(description="Where workspaces reach this server: their WS_MCP_URL")
    ] = ""
    container_runtime: Annotated[
        str, AfterValidator(plain_name), Field(description="Runtime of the engine, as runsc; empty: its default")
    ] = ""
    chat_header: Annotated[
        str, AfterValidator(plain_name), Field(description="HTTP header in which a host names the conversation")
    ] = ""
    confirm: Annotated[
        Literal["never", "auto", "always"],
        Field(description="Ask the person before tiers 3 and 4, ending processes, removing data; auto: if able"),
    ] = "never"
    workspaces: Annotated[int, Field(ge=1, le=1000, description="Container workspaces of one chat")] = 16
    volume_mib: Annotated[
        int, Field(ge=0, le=1 << 30, description="Pause a workspace whose data takes more MiB; 0: no limit")
    ] = 0
    idle_stop_s: Annotated[
        int,
        Field(ge=0, le=IDLE_S, description="Stop a workspace in which nothing ran for so many seconds; 0: never"),
    ] = 0
    audit: Annotated[
        Literal["auto", "on", "off"],
        Field(description="Write down what is asked for, and what becomes of it; auto: with HTTP"),
    ] = "auto"
    audit_mib: Annotated[
        int, Field(ge=0, le=1 << 30, description="MiB of audit files that are kept, oldest removed first; 0: all")
    ] = 1024
    metrics: Annotated[
        str,
        AfterValidator(listening),
        Field(description="Where metrics and health are told: ADDRESS:PORT of the loopback, or unix:PATH"),
    ] = ""
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


def from_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The `WS_MCP_<SETTING>` variables that are set, by setting."""
    names = {f"WS_MCP_{name.upper()}": name for name in Settings.model_fields}
    return {names[name]: value for name, value in environment.items() if name in names}


def tokens_of(settings: Settings) -> Path:
    """Where the tokens of HTTP clients are."""
    said = Path(settings.tokens) if settings.tokens else settings.state / "tokens"
    return said.expanduser().absolute()


def metavar_of(field: FieldInfo) -> Metavar:
    """How the value of a setting is written."""
    said = next((each for each in field.metadata if isinstance(each, Metavar)), None)
    plain = "N" if field.annotation is int else "DIR" if field.annotation is Path else "TEXT"
    return said or Metavar(plain, is_repeated=False)
