"""What tools and resources answer: small, described, without paths of this machine, environment values or secrets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from ws_mcp.core.engine.model import Limits
from ws_mcp.core.workspaces.model import Pending, Provisioned, Removed, Workspace, WorkspaceKind, WorkspaceListing
from ws_mcp.core.workspaces.mounts import Access

COMMAND_CHARACTERS = 200  # of a command in lists; the start answered with all of it


def moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


class View(BaseModel):
    """An answer. What equals its default is left out of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class PortView(View):
    """A published port."""

    port: Annotated[int, Field(description="Port inside the workspace")]
    url: Annotated[str, Field(description="Where this machine reaches it")]


class WorkspaceView(View):
    """A container or local workspace."""

    name: Annotated[str, Field(description="What this chat calls it")]
    kind: Annotated[Literal["container", "local"], Field(description="On the container engine, or on this machine")]
    state: Annotated[
        Literal["running", "paused", "stopped", "unknown"], Field(description="unknown: nobody answered now")
    ]
    tier: Annotated[int, Field(description="1 is locked down, 2 is for development, 3 and 4 are root on the host")]
    created_at: Annotated[str, Field(description="When it was made, UTC")]
    image: Annotated[str, Field(description="Image of the container")] = ""
    path: Annotated[str, Field(description="Its data directory, where processes begin")] = ""
    has_data: Annotated[bool, Field(description="Its data outlives it unless removed on purpose")] = False
    ports: Annotated[list[PortView], Field(description="Published ports")] = []
    sandbox: Annotated[str, Field(description="Local only: what encloses its processes; none: nothing does")] = ""
    network: Annotated[str, Field(description="own, none, host, or the name of a shared one")] = ""
    access: Annotated[str, Field(description="What it may do with the folder of the host at /workspace")] = ""
    limits: Annotated[str, Field(description="Memory, CPUs and processes that it may have")] = ""
    exit_code: Annotated[int | None, Field(description="Exit code of a stopped container")] = None
    notes: Annotated[list[str], Field(description="What else is worth knowing")] = []

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        is_open = workspace.kind is WorkspaceKind.LOCAL and workspace.sandbox == "none"
        return cls(
            name=workspace.name,
            kind=workspace.kind.value,
            state=workspace.state.value,
            tier=workspace.tier,
            created_at=moment(workspace.created_at),
            image=workspace.image,
            path="" if is_open else workspace.path,  # without a sandbox it is a directory of the host
            has_data=bool(workspace.volume),
            ports=[PortView(port=port.container_port, url=port.url) for port in workspace.ports],
            sandbox=workspace.sandbox,
            network=workspace.network,
            access="" if workspace.access is Access.NONE else workspace.access.value,
            limits=_limits_text(workspace.limits),
            exit_code=workspace.exit_code,
            notes=list(workspace.notes),
        )


def _limits_text(limits: Limits) -> str:
    parts = (
        f"{limits.memory_bytes >> 20} MiB" if limits.memory_bytes else "",
        f"{limits.cpus:g} CPU" if limits.cpus else "",
        f"{limits.pids} processes" if limits.pids else "",
    )
    return ", ".join(filter(None, parts))


class ProvisionView(View):
    """What became of a wish for a workspace."""

    chat: Annotated[str, Field(description="Handle of the chat; other tools take it as `chat`")]
    change: Annotated[
        str, Field(description="created, started, recreated, stopped, ...; none: it was there; working: call again")
    ]
    workspace: Annotated[WorkspaceView | None, Field(description="The workspace")] = None
    reasons: Annotated[list[str], Field(description="Why it was made anew; with none: what is out of date")] = []
    is_ready: Annotated[bool | None, Field(description="What the probe found, if one was asked for")] = None
    readiness: Annotated[str, Field(description="Where it is ready, or why not and what it logged last")] = ""
    request: Annotated[dict[str, object] | None, Field(description="Dry run: what the engine would be told")] = None
    note: Annotated[str, Field(description="What else to know")] = ""

    @classmethod
    def of(cls, chat: str, made: Provisioned, note: str) -> Self:
        is_kept = made.change == "none" and made.reasons and made.request is None
        kept = 'it is out of date and was kept, since processes run in it: replace="always" makes it anew'
        return cls(
            chat=chat,
            change=made.change,
            workspace=WorkspaceView.of(made.workspace) if made.workspace else None,
            reasons=list(made.reasons),
            is_ready=made.is_ready,
            readiness=made.readiness,
            request=dict(made.request) if made.request is not None else None,
            note=". ".join(filter(None, (*made.notes, kept if is_kept else "", note))),
        )

    @classmethod
    def pending(cls, chat: str, pending: Pending) -> Self:
        told = f"still working after {pending.elapsed_s:.0f} s ({pending.phase})"
        note = f"{told}: call provision_workspace again with the same arguments to wait on"
        return cls(chat=chat, change="working", note=note)


class RemoveView(View):
    """A workspace that is gone."""

    workspace: Annotated[str, Field(description="Its name")]
    state: Annotated[Literal["removed"], Field(description="What it is now")]
    ended_processes: Annotated[int, Field(description="Running processes that ended with it")]
    data: Annotated[Literal["kept", "removed", "none"], Field(description="What became of its data")]
    note: Annotated[str, Field(description="What to do to get kept data back")] = ""

    @classmethod
    def of(cls, removed: Removed, *, keep_data: bool) -> Self:
        kept = "kept" if removed.kept_volume else "none" if keep_data else "removed"
        note = f"provision_workspace with name {removed.name!r} finds its data again" if kept == "kept" else ""
        return cls(
            workspace=removed.name, state="removed", ended_processes=removed.ended_processes, data=kept, note=note
        )


class ContainersView(View):
    """The workspaces of a chat."""

    chat: Annotated[str, Field(description="Handle of the chat")]
    workspaces: Annotated[list[WorkspaceView], Field(description="Containers and local workspaces, oldest first")]
    unknown: Annotated[str, Field(description="Why containers could not be listed now: they are not gone")] = ""

    @classmethod
    def of(cls, chat: str, listing: WorkspaceListing) -> Self:
        return cls(
            chat=chat,
            workspaces=[WorkspaceView.of(workspace) for workspace in listing.workspaces],
            unknown=listing.unknown,
        )
