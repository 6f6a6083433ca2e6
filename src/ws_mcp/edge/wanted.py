"""What a completion is asked for, and which values fit (pure).

The gate and the answer both read it from the request as it was sent, so that what is judged is what is answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from ws_mcp.edge.uris import (
    BUILD_LOG,
    CHAT_CONTAINERS,
    CONTAINERS,
    DEVCONTAINER,
    DEVCONTAINERS,
    OUTPUT,
    PROCESS,
    PROCESSES,
    WORKSPACE,
    containers_uri,
    processes_uri,
)


class Source(StrEnum):
    """Where values come from. `places`: all in which processes can run."""

    CHAT = "chat"
    PROCESSES = "processes"
    WORKSPACES = "workspaces"
    PLACES = "places"
    DEVCONTAINERS = "devcontainers"
    FOLDERS = "folders"


SOURCES: Mapping[tuple[object, object], Source] = {
    **{(of, "chat"): Source.CHAT for of in (CHAT_CONTAINERS, WORKSPACE, PROCESSES, PROCESS, OUTPUT)},
    **{(of, "process"): Source.PROCESSES for of in (PROCESS, OUTPUT)},
    (WORKSPACE, "workspace"): Source.WORKSPACES,
    **{(of, "name"): Source.DEVCONTAINERS for of in (DEVCONTAINER, BUILD_LOG)},
    ("start_dev_server", "workspace"): Source.PLACES,
    ("rebuild_devcontainer", "folder"): Source.FOLDERS,
}
"""By the template or the prompt, and its variable."""
OF_CHAT = {Source.PROCESSES: processes_uri, Source.WORKSPACES: containers_uri}
"""Of the chat that was filled in before; by the address that shows the same."""
OF_ALL = {Source.PLACES: CONTAINERS, Source.DEVCONTAINERS: DEVCONTAINERS, Source.FOLDERS: DEVCONTAINERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A completion. `address`: the resource that shows the same values; none for the caller's own chat."""

    source: Source
    address: str = ""
    chat: str = ""
    typed: str = ""


def wanted_of(params: object) -> Wanted | None:
    """What the parameters of a request ask for; None for what nothing is offered for."""
    said = _object(params)
    reference, argument = _object(said.get("ref")), _object(said.get("argument"))
    asked = _text(reference.get("uri")) or _text(reference.get("name"))
    source = SOURCES.get((asked, _text(argument.get("name"))))
    typed = _text(argument.get("value"))
    if source is None:
        return None
    if source in OF_CHAT:
        chat = _text(_object(_object(said.get("context")).get("arguments")).get("chat"))
        return Wanted(source=source, address=OF_CHAT[source](chat), chat=chat, typed=typed) if chat else None
    return Wanted(source=source, address=OF_ALL.get(source, ""), typed=typed)


def fitting(values: Iterable[str], typed: str) -> list[str]:
    """Each once: those that begin with what was typed, then those that only have it in them; in their order.

    A value that would not look like itself in a menu is none.
    """
    sought = typed.casefold()
    found = (value for value in dict.fromkeys(values) if value.isprintable() and sought in value.casefold())
    return sorted(found, key=lambda value: not value.casefold().startswith(sought))


def _object(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
