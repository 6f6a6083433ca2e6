"""What to do about a workspace whose server died in the middle (pure): made whole or undone, never left half."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ws_mcp.core.engine.model import Container, ContainerState

_STOPPED = (ContainerState.EXITED, ContainerState.CREATED)


class Act(StrEnum):
    """One thing to do to a container."""

    REMOVE = "remove"
    TAKE_BACK = "take back"  # give it the workspace's name again
    START = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """The acts in their order; `is_whole`: a workspace is there after them, so what was made for it stays."""

    acts: tuple[tuple[Act, Container], ...]
    is_whole: bool


def plan_repair(current: Container | None, incoming: Container | None, outgoing: Container | None) -> Repair:
    """From the three containers that a provision may leave behind.

    `current` has the workspace's name, `incoming` was to take its place, `outgoing` had it before. A container that was
    never started is nobody's work: nothing of worth is in it.
    """
    acts = [(Act.REMOVE, incoming)] if incoming is not None else []
    if current is not None and _ran(current):
        acts += [(Act.REMOVE, outgoing)] if outgoing is not None else []
        # Somebody wanted it to run; it may have been stopped for the one that was to take its place.
        acts += [(Act.START, current)] if current.state in _STOPPED else []
        return Repair(acts=tuple(acts), is_whole=True)
    acts += [(Act.REMOVE, current)] if current is not None else []
    if outgoing is not None:
        acts += [(Act.TAKE_BACK, outgoing), (Act.START, outgoing)]
    return Repair(acts=tuple(acts), is_whole=outgoing is not None)


def _ran(container: Container) -> bool:
    # Some engines say "created" of one that ran before the machine went down.
    return container.state is not ContainerState.CREATED or container.started_at is not None
