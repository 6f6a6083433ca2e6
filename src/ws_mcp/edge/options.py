"""What a caller may ask of a workspace beside the usual: one strict object, so that the list of tools stays short.

Unknown names are refused with the known ones; no value is repeated in an error.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ws_mcp.core.errors import InvalidArgumentError
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
from ws_mcp.edge.arguments import MAX_NUMBER, Count, Environment, Input, Key, Name, Text

MAX_FILES = 256
MAX_SECRETS = 64
MAX_MOUNTS = 16
MAX_WORDS = 256

Words = Annotated[list[Text], Field(max_length=MAX_WORDS)]


class Strict(BaseModel):
    """An object of which every name is known, and every value is of its own kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Ready(Strict):
    """How to tell that the workspace is ready: exactly one of tcp, http, command."""

    tcp: Annotated[int | None, Field(ge=1, le=65535, description="A port that takes connections")] = None
    http: Annotated[int | None, Field(ge=1, le=65535, description="A port that answers with 200 to 399")] = None
    path: Annotated[Text, Field(description="What is asked for by http; default /")] = "/"
    command: Annotated[Text, Field(description="A shell line that ends with 0")] = ""
    wait_s: Annotated[float, Field(gt=0, le=300, description="How long to try, default 30")] = 30.0

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(bool(kind) for kind in (self.tcp, self.http, self.command)) != 1:
            raise ValueError("takes exactly one of tcp (a port), http (a port) and command (a shell line)")
        return self

    def probe(self) -> Probe:
        """As the core has it."""
        return Probe(tcp=self.tcp or 0, http=self.http or 0, path=self.path, command=self.command, wait_s=self.wait_s)


class Options(Strict):
    """Everything about a workspace that few callers need. What is left out is as it is, or a default."""

    runtime: Annotated[Text, Field(description="The operator's name of an image, in place of `image`")] = ""
    platform: Annotated[Text | None, Field(description="As linux/amd64; default the engine's own")] = None
    memory_mib: Annotated[Count | None, Field(description="Memory, swap included; default by tier")] = None
    cpus: Annotated[
        float | None, Field(gt=0, le=MAX_NUMBER, allow_inf_nan=False, description="Processors, as 1.5; default by tier")
    ] = None
    pids: Annotated[Count | None, Field(description="Processes and threads; default by tier")] = None
    tmpfs_mib: Annotated[Count | None, Field(description="How large its /tmp in memory is")] = None
    network: Annotated[
        Text | None, Field(description="own (default), none, or a name: shared by the chat's workspaces that give it")
    ] = None
    folder: Annotated[
        Text | None, Field(description="Directory of the host as /workspace, below a root of the operator's")
    ] = None
    access: Annotated[
        Access | None, Field(strict=False, description="What it may do with the folder; none: no /workspace that stays")
    ] = None
    mounts: Annotated[
        dict[Name, Name] | None,
        Field(max_length=MAX_MOUNTS, description="Files of the host, read-only: {target: file}"),
    ] = None
    files: Annotated[
        dict[Name, Input] | None, Field(max_length=MAX_FILES, description="Files of /configs: {path: text}")
    ] = None
    template: Annotated[Text | None, Field(description="The operator's name of a directory of such files")] = None
    required: Annotated[
        list[Name], Field(max_length=MAX_FILES, description="Paths below /configs without which nothing is started")
    ] = []
    home: Annotated[
        Text | None, Field(description="The operator's name of a tree that is copied into the home directory")
    ] = None
    secrets: Annotated[
        dict[Name, Input] | None,
        Field(max_length=MAX_SECRETS, description="Files of /run/secrets, in memory only: {name: value}"),
    ] = None
    command: Annotated[
        Words | None, Field(description="Its own command, as a list of program and arguments; default the image's")
    ] = None
    user: Annotated[Text | None, Field(description="Name or number; default the image's")] = None
    cwd: Annotated[Text | None, Field(description="Where its own command begins")] = None
    restart: Annotated[
        Literal["no", "on-failure", "unless-stopped"] | None, Field(description="When its own command ends; default no")
    ] = None
    idle_stop_s: Annotated[
        int | None,
        Field(ge=0, le=MAX_NUMBER, description="Stop it when nothing ran in it for so long; 0: never"),
    ] = None
    ready: Annotated[Ready | None, Field(description="Wait until it is: {tcp, http or command, path, wait_s}")] = None
    replace: Annotated[
        Replace,
        Field(strict=False, description="if_idle (default), or always: made anew though processes run in it"),
    ] = Replace.IF_IDLE
    dry_run: Annotated[
        bool, Field(description="Only say what would be done, why, and what the engine would be told")
    ] = False
    request_key: Annotated[Key, Field(description="Makes a retry safe: the same key stands for the same request")] = ""

    @property
    def ask(self) -> Ask:
        """How the wish is to be fulfilled."""
        return Ask(replace=self.replace, is_dry_run=self.dry_run, request_key=self.request_key)

    @property
    def host_paths(self) -> frozenset[str]:
        """The paths of this machine that are named, as they are found again."""
        named = (self.folder or "", *(self.mounts or {}).values())
        return frozenset(path.rstrip("/") for path in named if path)

    def sizes(self) -> Sizes:
        """The sizes that are asked for; 0: none."""
        return Sizes(
            memory_mib=self.memory_mib or 0, cpus=self.cpus or 0.0, pids=self.pids or 0, tmpfs_mib=self.tmpfs_mib or 0
        )

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
        InvalidArgumentError: there is no such runtime, or an image is named twice.
    """
    if image and options.runtime:
        raise InvalidArgumentError("`image` and the option `runtime` both name an image; give one of them")
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
