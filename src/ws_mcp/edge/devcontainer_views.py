"""What tools and resources answer about dev containers. Their folders are below the operator's roots, and named."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import Field

from ws_mcp.core.devcontainers.model import DevContainer, DevContainerListing, Hook, Recreated, Sibling
from ws_mcp.core.job import StillRunning
from ws_mcp.edge.views import LONGEST, View, moment

AGAIN = (
    "call recreate_devcontainer again with the same arguments: it goes on meanwhile, until stop_workspace gives it up"
)
CLASH = "a workspace of this chat has the same name: tools take that one for it, recreate_devcontainer this one"


class SiblingView(View):
    """A container beside a dev container."""

    name: Annotated[str, Field(description="Its name")]
    state: Annotated[str, Field(description="As the engine says")]
    is_duplicate: Annotated[bool, Field(description="Another one of the same dev container, not of its project")] = (
        False
    )

    @classmethod
    def of(cls, sibling: Sibling) -> Self:
        return cls(name=sibling.name, state=sibling.state, is_duplicate=sibling.is_duplicate)


class DevContainerView(View):
    """A dev container, or the definition of one that was not made yet."""

    name: Annotated[str, Field(description="What other tools take as `workspace` or `name`")]
    folder: Annotated[str, Field(description="Folder of the project on this machine")]
    config: Annotated[str, Field(description="Its definition, relative to the folder")]
    state: Annotated[
        Literal[
            "absent", "running", "paused", "stopped", "starting", "stopping", "deleting", "error", "orphaned", "unknown"
        ],
        Field(description="absent: not made yet; orphaned: its definition is gone; unknown: it cannot be read now"),
    ]
    dirty: Annotated[
        Literal["clean", "dirty", "unknown"] | None, Field(description="Whether the container is out of date")
    ] = None
    reasons: Annotated[tuple[str, ...], Field(description="What changed since it was made")] = ()
    error: Annotated[str, Field(description="Why the last attempt failed")] = ""
    is_set_up: Annotated[bool, Field(description="Whether all its hooks ran")] = True
    container: Annotated[str, Field(description="Id of its container")] = ""
    image: Annotated[str, Field(description="Image of the container")] = ""
    created_at: Annotated[str, Field(description="When the container was made, UTC")] = ""
    user: Annotated[str, Field(description="Who processes run as")] = ""
    path: Annotated[str, Field(description="Where processes begin")] = ""
    project: Annotated[str, Field(description="Its compose project")] = ""
    siblings: Annotated[tuple[SiblingView, ...], Field(description="Other containers of it or its project")] = ()
    untracked: Annotated[tuple[str, ...], Field(description="Inputs too large to be compared")] = ()
    warnings: Annotated[tuple[str, ...], Field(description="What else is worth knowing")] = ()

    @classmethod
    def of(cls, found: DevContainer, *, taken: Collection[str] = ()) -> Self:
        """`taken`: names of workspaces of the chat, which win."""
        verdict = found.verdict
        return cls(
            name=found.name,
            folder=found.key.folder,
            config=_below(found.key.folder, found.key.config),
            state=found.status.value,
            dirty=verdict.freshness.value if verdict else None,
            reasons=verdict.reasons if verdict else (),
            error=found.error,
            is_set_up=found.is_complete,
            container=found.container or "",
            image=found.image,
            created_at=moment(found.created_at) if found.created_at else "",
            user=found.user,
            path=found.path,
            project=found.project,
            siblings=tuple(map(SiblingView.of, found.siblings)),
            untracked=verdict.untracked if verdict else (),
            warnings=(*found.warnings, *((CLASH,) if found.name in taken else ())),
        )


class DevContainersView(View):
    """The dev containers below the operator's roots."""

    longest = LONGEST

    devcontainers: Annotated[tuple[DevContainerView, ...], Field(description="By folder")]
    unknown: Annotated[str, Field(description="Why they could not be looked at now: they are not gone")] = ""
    age_s: Annotated[float, Field(description="Then: how old the list is")] = 0.0

    @classmethod
    def of(cls, listing: DevContainerListing, *, taken: Collection[str] = ()) -> Self:
        views = tuple(DevContainerView.of(found, taken=taken) for found in listing.devcontainers)
        return cls(devcontainers=views, unknown=listing.unknown, age_s=round(listing.age_s, 1))


class HookView(View):
    """A lifecycle command that ran in the container."""

    name: Annotated[str, Field(description="postCreateCommand, say")]
    seconds: Annotated[float, Field(description="How long it took")]
    is_ok: Annotated[bool, Field(description="False: it failed, and those after it did not run")] = True

    @classmethod
    def of(cls, hook: Hook) -> Self:
        return cls(name=hook.name, seconds=round(hook.duration_s, 1), is_ok=hook.is_ok)


class RecreateView(View):
    """What became of a recreate."""

    change: Annotated[
        str,
        Field(
            description="created, recreated, started, or none: it was as defined; working: call again. "
            "Of a dry run: what would be done"
        ),
    ]
    is_dry_run: Annotated[bool, Field(description="Nothing was done")] = False
    devcontainer: Annotated[DevContainerView | None, Field(description="As it is now")] = None
    old_container: Annotated[str, Field(description="Id of the container that it replaced")] = ""
    reasons: Annotated[tuple[str, ...], Field(description="What is, or was, out of date")] = ()
    hooks: Annotated[tuple[HookView, ...], Field(description="The hooks that ran")] = ()
    warnings: Annotated[tuple[str, ...], Field(description="What else is worth knowing")] = ()
    runs: Annotated[tuple[str, ...], Field(description="Of a dry run: what would be run on this machine")] = ()
    phase: Annotated[str, Field(description="What is being done now")] = ""
    seconds: Annotated[float | None, Field(description="How long it took, or has been working")] = None
    note: Annotated[str, Field(description="What to do next")] = ""

    @classmethod
    def of(cls, made: Recreated, *, is_dry_run: bool) -> Self:
        return cls(
            change=made.change,
            is_dry_run=is_dry_run,
            devcontainer=DevContainerView.of(made.devcontainer),
            old_container=made.old_container or "",
            reasons=made.reasons,
            hooks=tuple(map(HookView.of, made.hooks)),
            warnings=made.warnings,
            runs=made.runs,
            seconds=round(made.duration_s, 1),
        )

    @classmethod
    def working(cls, job: StillRunning) -> Self:
        """Of one that goes on."""
        return cls(change="working", phase=job.phase, seconds=round(job.elapsed_s, 1), note=AGAIN)


def _below(folder: str, path: str) -> str:
    return path.removeprefix(f"{folder}/")
