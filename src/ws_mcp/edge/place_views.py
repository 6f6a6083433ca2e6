"""What tools and resources answer about all that a chat can work in: listed, stopped, removed."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal, Self

from pydantic import Field

from ws_mcp.core.closing import Closed
from ws_mcp.core.devcontainers.model import Acted, DevContainerListing
from ws_mcp.core.job import StillRunning
from ws_mcp.core.workspaces.model import Removed, Stopped, Workspace, WorkspaceListing
from ws_mcp.edge.devcontainer_views import DevContainerView
from ws_mcp.edge.views import LONGEST, View, WorkspaceView

VIEWS = 512  # of workspaces that stay as they are: to make them anew is most of the work of a long list
GOES_ON = "it goes on meanwhile: call again with the same arguments to wait for its end"
KEPT = "its folder, its volumes and its image stay; recreate_devcontainer makes it again"


@lru_cache(maxsize=VIEWS)
def _listed(workspace: Workspace) -> WorkspaceView:
    return WorkspaceView.of(workspace)


class StopView(View):
    """A workspace or dev container that was stopped, or stopped and started."""

    workspace: Annotated[WorkspaceView | None, Field(description="The workspace as it is now")] = None
    devcontainer: Annotated[DevContainerView | None, Field(description="The dev container as it is now")] = None
    ended_processes: Annotated[int | None, Field(description="Running processes that ended, if counted")] = None
    containers: Annotated[tuple[str, ...], Field(description="Containers of the dev container that were stopped")] = ()
    note: Annotated[str, Field(description="What else to know, and what to do next")] = ""

    @classmethod
    def of(cls, stopped: Stopped) -> Self:
        return cls(workspace=WorkspaceView.of(stopped.workspace), ended_processes=stopped.ended_processes)

    @classmethod
    def of_all(cls, closed: Closed) -> Self:
        """Of all workspaces of a chat."""
        return cls(ended_processes=closed.ended_processes, note=_told("stopped", closed))

    @classmethod
    def of_devcontainer(cls, done: Acted | StillRunning) -> Self:
        if isinstance(done, StillRunning):
            return cls(note=GOES_ON)
        view = DevContainerView.of(done.devcontainer) if done.devcontainer else None
        return cls(
            devcontainer=view,
            ended_processes=done.ended_processes,
            containers=done.containers,
            note="; ".join(done.warnings),
        )


class RemoveView(View):
    """A workspace or dev container that is gone."""

    workspace: Annotated[str, Field(description="Its name")]
    state: Annotated[Literal["removed", "removing"], Field(description="What it is now")]
    ended_processes: Annotated[int | None, Field(description="Running processes that ended, if counted")] = None
    data: Annotated[Literal["kept", "removed", "none"], Field(description="What became of its data; none: it had none")]
    containers: Annotated[tuple[str, ...], Field(description="Containers of the dev container that went")] = ()
    note: Annotated[str, Field(description="What to do to get kept data back")] = ""

    @classmethod
    def of(cls, removed: Removed, *, had_data: bool) -> Self:
        kept = "kept" if removed.kept_volume else "removed" if had_data else "none"
        note = f"provision_workspace with name {removed.name!r} finds its data again" if kept == "kept" else ""
        return cls(
            workspace=removed.name, state="removed", ended_processes=removed.ended_processes, data=kept, note=note
        )

    @classmethod
    def of_all(cls, closed: Closed, *, had_data: bool) -> Self:
        """Of all workspaces of a chat."""
        return cls(
            workspace="*",
            state="removing" if closed.failures else "removed",
            ended_processes=closed.ended_processes,
            data="kept" if closed.kept_data else "removed" if had_data else "none",
            note="; ".join((_told("removed", closed), *(("the chat is forgotten",) if closed.is_forgotten else ()))),
        )

    @classmethod
    def of_devcontainer(cls, name: str, done: Acted | StillRunning) -> Self:
        if isinstance(done, StillRunning):
            return cls(workspace=name, state="removing", data="kept", note=GOES_ON)
        note = "; ".join((KEPT, *done.warnings))
        return cls(
            workspace=name,
            state="removed",
            ended_processes=done.ended_processes,
            data="kept",
            containers=done.containers,
            note=note,
        )


def _told(what: str, closed: Closed) -> str:
    """What was done to which workspaces, and what could not be done."""
    names = ", ".join(closed.workspaces) or "none"
    kept = (f"provision_workspace finds the data of {', '.join(closed.kept_data)} again",) if closed.kept_data else ()
    failures = tuple(f"not done, call again: {failure}" for failure in closed.failures)
    return "; ".join((f"{what}: {names}", *kept, *failures))


class ContainersView(View):
    """The workspaces of a chat, and the dev containers of this machine."""

    longest = LONGEST

    chat: Annotated[str, Field(description="Handle of the chat")]
    workspaces: Annotated[tuple[WorkspaceView, ...], Field(description="Containers and local workspaces, oldest first")]
    unknown: Annotated[str, Field(description="Why containers could not be listed now: they are not gone")] = ""
    age_s: Annotated[float | None, Field(description="Then: how old the list is; null: never seen")] = 0.0
    devcontainers: Annotated[
        tuple[DevContainerView, ...], Field(description="Dev containers below the operator's roots, by folder")
    ] = ()

    @classmethod
    def of(cls, chat: str, listing: WorkspaceListing, found: DevContainerListing) -> Self:
        taken = {workspace.name for workspace in listing.workspaces}
        return cls(
            chat=chat,
            workspaces=tuple(map(_listed, listing.workspaces)),
            unknown=listing.unknown or found.unknown,
            age_s=listing.age_s if listing.age_s is None else round(listing.age_s, 1),
            devcontainers=tuple(DevContainerView.of(each, taken=taken) for each in found.devcontainers),
        )
