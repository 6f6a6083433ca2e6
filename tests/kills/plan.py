"""What a run is made of, from its seed alone (pure): who is killed, how, in the middle of what, and when exactly."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

STRIDE = 30  # has no divisor in common with the number of cells: a few seeds in a row differ in both


class Fault(StrEnum):
    """What is done."""

    SERVER = "server: kill -9"
    STOPPED_SERVER = "server: stop, kill -9"
    PAUSED_SERVER = "server: stop, go on"
    ONE_OF_TWO = "one of two servers: kill -9"
    ONE_OF_TWO_INSTANCES = "server of one of two instances: kill -9"
    UPGRADE = "server: kill -9, next has another execd"
    CONTAINER_EXECD = "execd in a container: kill -9"
    CONTAINER_KILLED = "docker kill"
    CONTAINER_RESTARTED = "docker restart"
    CONTAINER_REMOVED = "docker rm -f"
    LOCAL_EXECD = "local execd: kill -9"

    @property
    def is_of_container(self) -> bool:
        """Whether a container ends by it."""
        return self in _OF_CONTAINERS

    @property
    def is_of_place(self) -> bool:
        """Whether what runs in a place is lost by it, and every server lives on."""
        return self.is_of_container or self is Fault.LOCAL_EXECD


class Moment(StrEnum):
    """What goes on meanwhile."""

    PROVISION = "provision"
    RECREATE = "recreate"
    REMOVE = "remove"
    START = "start"
    SIGNAL = "signal"
    INPUT = "input"
    OUTPUT = "output"

    @property
    def asks_engine(self) -> bool:
        """Whether it is a row of calls to the engine, at one of which the fault comes."""
        return self in (Moment.PROVISION, Moment.RECREATE, Moment.REMOVE)


_OF_CONTAINERS = (Fault.CONTAINER_EXECD, Fault.CONTAINER_KILLED, Fault.CONTAINER_RESTARTED, Fault.CONTAINER_REMOVED)
# How many calls that change something each makes at least (`test_kill_provision` counts them).
CALLS = {Moment.PROVISION: 12, Moment.RECREATE: 13, Moment.REMOVE: 6}
CELLS = tuple((fault, moment) for fault in Fault for moment in Moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run. `call`: at which call that changes something, from 1, of those that go to the engine; `is_before`: it
    does not get there. `delay_s`: where there are none. `hits_act`: a container fault hits the container that is worked
    on, if there is one, not the one beside it. `pause_s`: how long a server is stopped.
    """

    seed: int
    fault: Fault
    moment: Moment
    door: str
    call: int
    is_before: bool
    delay_s: float
    pause_s: float
    is_local: bool
    hits_act: bool
    exit_code: int

    def __str__(self) -> str:
        when = f"call {self.call}{' before' if self.is_before else ''}" if self.moment.asks_engine else ""
        return f"{self.fault} | {self.moment} | {self.door} | {when or f'{self.delay_s * 1000:.1f} ms'}"


def plan_of(seed: int) -> Plan:
    """The same run for the same seed, on every machine; as many seeds in a row as there are cells have each once."""
    chance = random.Random(seed)
    fault, moment = CELLS[seed * STRIDE % len(CELLS)]
    return Plan(
        seed=seed,
        fault=fault,
        moment=moment,
        door=chance.choice(("stdio", "stdio", "http")),
        call=chance.randint(1, CALLS.get(moment, 1)),
        is_before=chance.random() < 0.3,
        delay_s=10 ** chance.uniform(-4, -1.2),
        pause_s=chance.uniform(0.1, 0.8),
        # What a fault of a place is to hit is where it hits.
        is_local=fault is Fault.LOCAL_EXECD or (not fault.is_of_container and chance.random() < 0.5),
        hits_act=chance.random() < 0.5,
        exit_code=chance.randint(1, 100),
    )
