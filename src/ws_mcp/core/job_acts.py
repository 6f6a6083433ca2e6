"""What becomes of a call that asks for a job, by what there is under its key (pure)."""

from __future__ import annotations

from enum import StrEnum


class Found(StrEnum):
    """What there is under a key when a call comes. `KEPT`: it ended, and somebody was told to come back for it."""

    NOTHING = "nothing"
    RUNNING = "running"
    KEPT = "kept"


class Act(StrEnum):
    """What becomes of a call."""

    START = "start"
    JOIN = "join"
    REFUSE = "refuse"


# By what is found, and whether it is from an equal call.
ACTS = {
    (Found.NOTHING, False): Act.START,
    (Found.RUNNING, True): Act.JOIN,
    (Found.RUNNING, False): Act.REFUSE,
    (Found.KEPT, True): Act.JOIN,
    (Found.KEPT, False): Act.START,
}
