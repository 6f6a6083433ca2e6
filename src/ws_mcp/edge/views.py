"""What tools and resources answer: small, described, without paths of this machine, environment values or secrets."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from ws_mcp.core.unseen import UNSEEN, seen
from ws_mcp.core.workspaces.model import (
    Pending,
    Provisioned,
    Workspace,
    WorkspaceKind,
)

_SUSPECT = re.compile(rf"[{UNSEEN}\u2028\u2029]|\\(?:u00|[bfr])")  # as JSON writes them; a false alarm costs time only
_TEXT = re.compile(r'"(?:[^"\\]++|\\.)*+"')  # in JSON
MIB = 1024 * 1024
LONGEST = 2000  # characters of one text in a list; names are shorter, the last lines of a failed build are not
HIDDEN = "(hidden)"
OUT_OF_DATE = (
    'it is out of date and was kept, since processes run in it: with the option replace="always" it is made anew, '
    "which ends them"
)
AGAIN = "call provision_workspace again with the same arguments: it goes on meanwhile"


def moment(at: datetime) -> str:
    """A time as all answers say it."""
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


class View(BaseModel):
    """An answer. What equals its default is left out of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    longest: ClassVar[int] = 0  # characters of a text in it that others wrote (names, labels); 0: it has none

    def shown(self) -> tuple[dict[str, object], str]:
        """As JSON, as values and as text, without characters that a person would not see."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        text = to_json(values).decode()
        if _is_suspect(text) or (self.longest and _has_longer(text, self.longest)):
            values = cast("dict[str, object]", _cleaned(values, self.longest))
            text = to_json(values).decode()
        return values, text


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
    tier: Annotated[
        int, Field(description="How much it may do: 1 locked down, 2 for development, 3 and 4 root on the host")
    ]
    created_at: Annotated[str, Field(description="When it was made, UTC")]
    image: Annotated[str, Field(description="Image of the container")] = ""
    path: Annotated[str, Field(description="Its data directory, where processes begin")] = ""
    has_data: Annotated[bool, Field(description="Its data outlives it unless removed on purpose")] = False
    access: Annotated[
        Literal["none", "read_only", "read_write"], Field(description="What it may do with a folder of the host")
    ] = "none"
    network: Annotated[str, Field(description="own, none, host, or the name of a shared one")] = ""
    limits: Annotated[str, Field(description="How much memory, how many processors and processes it may use")] = ""
    ports: Annotated[tuple[PortView, ...], Field(description="Published ports")] = ()
    sandbox: Annotated[str, Field(description="Local only: what encloses its processes; none: nothing does")] = ""
    exit_code: Annotated[int | None, Field(description="Exit code of a stopped container")] = None
    notes: Annotated[tuple[str, ...], Field(description="What else is worth knowing")] = ()
    node: Annotated[str, Field(description="The machine that it is on, where there are several")] = ""

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
            access=workspace.access.value,
            network=workspace.network,
            limits=_limits(workspace),
            ports=tuple(PortView(port=port.container_port, url=port.url) for port in workspace.ports),
            sandbox=workspace.sandbox,
            exit_code=workspace.exit_code,
            notes=workspace.notes,
            node=workspace.hostname,
        )


class ProvisionView(View):
    """What became of a wish for a workspace."""

    chat: Annotated[str, Field(description="Handle of the chat; other tools take it as `chat`")]
    change: Annotated[
        str,
        Field(
            description="created, started, recreated, replaced, or none: it was there; working: call again. "
            "Of a dry run: what would be done"
        ),
    ]
    is_dry_run: Annotated[bool, Field(description="Nothing was done")] = False
    workspace: Annotated[WorkspaceView | None, Field(description="The workspace, where there is one")] = None
    reasons: Annotated[tuple[str, ...], Field(description="What is, or was, out of date")] = ()
    is_ready: Annotated[bool | None, Field(description="Whether it got ready, where `ready` was asked for")] = None
    readiness: Annotated[str, Field(description="Where it is ready, or why not, with its last log lines")] = ""
    phase: Annotated[str, Field(description="What is being done now")] = ""
    seconds: Annotated[float | None, Field(description="How long it has been working")] = None
    request: Annotated[
        dict[str, object] | None, Field(description="Of a dry run: what the engine would be told, without secrets")
    ] = None
    note: Annotated[str, Field(description="What else to know, and what to do next")] = ""

    @classmethod
    def of(cls, chat: str, made: Provisioned, *, is_dry_run: bool, given: Collection[str], note: str) -> Self:
        """`given`: the paths of this machine that the caller named, and may be told again."""
        kept = OUT_OF_DATE if made.change == "none" and made.reasons and not is_dry_run else ""
        return cls(
            chat=chat,
            change=made.change,
            is_dry_run=is_dry_run,
            workspace=WorkspaceView.of(made.workspace) if made.workspace else None,
            reasons=made.reasons,
            is_ready=made.is_ready,
            readiness=made.readiness,
            request=_shown(made.request, given) if made.request is not None else None,
            note="; ".join(part for part in (*made.notes, kept, note) if part),
        )

    @classmethod
    def working(cls, chat: str, pending: Pending, *, note: str) -> Self:
        """Of a provision that goes on."""
        return cls(
            chat=chat,
            change="working",
            phase=pending.phase,
            seconds=round(pending.elapsed_s, 1),
            note="; ".join(part for part in (AGAIN, note) if part),
        )


def _has_longer(text: str, longest: int) -> bool:
    """Whether a text in JSON may be too long; it has as many characters as it is written with, or fewer."""
    if len(text) <= longest:
        return False
    # Without a backslash each quotation mark begins or ends a text: that is found much faster.
    parts = _TEXT.findall(text) if "\\" in text else text.split('"')
    return max(map(len, parts), default=0) > longest


def _is_suspect(text: str) -> bool:
    """Whether JSON may have something to clean in it; quick to say no of plain text."""
    return not (text.isascii() and "\\" not in text and "\x7f" not in text) and _SUSPECT.search(text) is not None


def _cleaned(value: object, longest: int) -> object:
    if isinstance(value, str):
        text = seen(value)
        return f"{text[:longest]} ..." if longest and len(text) > longest else text
    if isinstance(value, dict):
        return {seen(name): _cleaned(each, longest) for name, each in cast("dict[str, object]", value).items()}
    return [_cleaned(each, longest) for each in cast("list[object]", value)] if isinstance(value, list) else value


def _limits(workspace: Workspace) -> str:
    limits = workspace.limits
    parts = (
        f"{limits.memory_bytes // MIB} MiB of memory" if limits.memory_bytes else "",
        f"{limits.cpus:g} processor{'' if limits.cpus == 1 else 's'}" if limits.cpus else "",
        f"{limits.pids} processes" if limits.pids else "",
    )
    return ", ".join(part for part in parts if part)


def _shown(request: Mapping[str, object], given: Collection[str]) -> dict[str, object]:
    """What the engine would be told, but for paths of this machine that the caller did not name."""
    host = cast("Mapping[str, object]", request.get("HostConfig", {}))
    mounts = [
        {**mount, "Source": HIDDEN} if mount.get("Type") == "bind" and mount.get("Source") not in given else dict(mount)
        for mount in cast("list[Mapping[str, object]]", host.get("Mounts", []))
    ]
    return {**request, "HostConfig": {**host, "Mounts": mounts}} if host else dict(request)
