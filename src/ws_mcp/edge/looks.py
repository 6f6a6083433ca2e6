"""Which requests look at resources and tasks, or do something to one, and at which (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ws_mcp.edge.uris import address_of
from ws_mcp.edge.wanted import wanted_of

LISTEN = "subscriptions/listen"
COMPLETE = "completion/complete"
LOOKS = frozenset({"resources/read", "resources/subscribe", LISTEN, COMPLETE, "tasks/get"})
TASK_ACTS = frozenset({"tasks/update", "tasks/cancel"})


def only_looks(tool: str, arguments: Mapping[str, object]) -> bool:
    """Whether this call of a tool that may change things changes none."""
    return tool == "workspace_files" and arguments.get("action") in ("read", "list")


def targets_of(method: str, params: object) -> tuple[str, ...]:
    """The addresses that a look is about, as they were sent; what is no address is none here, and refused later.

    A completion is a look at the list from which it offers something: it needs the same grant.
    """
    if method == COMPLETE:
        wanted = wanted_of(params)
        return (wanted.address,) if wanted and wanted.address else ()
    if not isinstance(params, Mapping):
        return ()
    said = cast("Mapping[str, object]", params)
    if method == LISTEN:
        asked = said.get("notifications")
        some = cast("Mapping[str, object]", asked).get("resourceSubscriptions") if isinstance(asked, Mapping) else None
        found: list[object] = cast("list[object]", some) if isinstance(some, list) else []
    else:
        found = [said.get("uri")]
    return tuple(dict.fromkeys(each for each in found if isinstance(each, str)))


def task_in(params: object) -> Mapping[str, str]:
    """The task that an act is about, as an argument."""
    task = cast("Mapping[str, object]", params).get("taskId") if isinstance(params, Mapping) else None
    return {"task": task} if isinstance(task, str) else {}


def chat_in(targets: tuple[str, ...]) -> Mapping[str, str]:
    """The chat that all addresses name, as an argument; none where they name none, or several."""
    found = {address.chat for target in targets if (address := address_of(target.partition("?")[0]))}
    chat = found.pop() if len(found) == 1 else ""
    return {"chat": chat} if chat else {}
