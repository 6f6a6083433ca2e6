"""What a caller may ask of a workspace beside the usual: one strict object, so that the list of tools stays short.

Unknown names are refused with the known ones; no value is repeated in an error.
"""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.workspaces.model import (
    Access,
    Ask,
    Content,
    Probe,
    Replace,
    Sizes,
    WorkspaceKind,
    WorkspaceSpec,
)
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.edge.arguments import Environment, Text

MAX_FILES = 256
MAX_CONTENT = 1024 * 1024
MAX_WORDS = 256

Content_ = Annotated[str, Field(max_length=MAX_CONTENT)]
Path = Annotated[str, Field(min_length=1, max_length=4096)]


class State(StrEnum):
    """What a workspace is to be."""

    RUNNING = "running"
    STOPPED = "stopped"
    RESTARTED = "restarted"


class Strict(BaseModel):
    """An object of which every name is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Ready(Strict):
    """How to tell that the workspace is ready: exactly one of tcp, http, command."""

    tcp: Annotated[int, Field(ge=1, le=65535)] | None = None
    http: Annotated[int, Field(ge=1, le=65535)] | None = None
    path: Text = "/"
    command: Text = ""
    wait_s: Annotated[float, Field(gt=0, le=300)] = 30.0

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(bool(kind) for kind in (self.tcp, self.http, self.command)) != 1:
            raise ValueError("ready takes exactly one of tcp (a port), http (a port) and command (a shell line)")
        return self

    def probe(self) -> Probe:
        """As the core has it."""
        return Probe(tcp=self.tcp or 0, http=self.http or 0, path=self.path, command=self.command, wait_s=self.wait_s)


class Options(Strict):
    """Everything about a workspace that few callers need. What is left out is as it is, or a default."""

    runtime: Text = ""
    platform: Text | None = None
    memory_mib: Annotated[int, Field(gt=0)] | None = None
    cpus: Annotated[float, Field(gt=0)] | None = None
    pids: Annotated[int, Field(gt=0)] | None = None
    tmpfs_mib: Annotated[int, Field(gt=0)] | None = None
    network: Text | None = None
    access: Access | None = None
    folder: Text | None = None
    mounts: Annotated[dict[Path, Path], Field(max_length=16)] | None = None
    files: Annotated[dict[Path, Content_], Field(max_length=MAX_FILES)] | None = None
    template: Text | None = None
    required: Annotated[list[Path], Field(max_length=MAX_FILES)] = []
    home: Text | None = None
    secrets: Annotated[dict[Path, Content_], Field(max_length=64)] | None = None
    command: Annotated[list[str], Field(max_length=MAX_WORDS)] | None = None
    user: Text | None = None
    cwd: Text | None = None
    restart: Literal["no", "on-failure", "unless-stopped"] | None = None
    idle_stop_s: Annotated[int, Field(ge=0)] | None = None
    ready: Ready | None = None
    state: State = State.RUNNING
    replace: Replace = Replace.IF_IDLE
    dry_run: bool = False
    request_key: Annotated[Text, Field(max_length=200)] = ""

    @property
    def ask(self) -> Ask:
        """How the wish is to be fulfilled."""
        return Ask(replace=self.replace, is_dry_run=self.dry_run, request_key=self.request_key)

    def sizes(self) -> Sizes:
        """The sizes that are asked for; 0: none."""
        asked = {each.name: getattr(self, each.name, None) or 0 for each in fields(Sizes)}
        return Sizes(**asked)

    def content(self) -> Content:
        """What is to be put in."""
        return Content(
            files=self.files,
            template=self.template,
            required=tuple(self.required),
            home=self.home,
            secrets=self.secrets,
        )


def spec_of(
    options: Options,
    *,
    name: str,
    kind: WorkspaceKind,
    image: str,
    tier: int | None,
    env: Environment | None,
    ports: list[int] | None,
    volume: bool | None,
    rules: WorkspaceRules,
) -> WorkspaceSpec:
    """The wish that a call is.

    Raises:
        InvalidArgumentError: there is no such runtime.
    """
    return WorkspaceSpec(
        name=WorkspaceName(name),
        kind=kind,
        image=image or (rules.image_of(options.runtime) if options.runtime else ""),
        platform=options.platform,
        tier=tier or 0,
        environment=env,
        ports=None if ports is None else tuple(ports),
        has_volume=volume,
        access=options.access,
        folder=options.folder,
        mounts=options.mounts,
        sizes=options.sizes(),
        network=options.network,
        command=None if options.command is None else tuple(options.command),
        user=options.user,
        cwd=options.cwd,
        restart=options.restart,
        idle_stop_s=options.idle_stop_s,
        content=options.content(),
        ready=options.ready.probe() if options.ready else None,
    )
