"""What goes wrong at a door, and who decides when: chance, or a number that is counted to."""

from __future__ import annotations

import random
from collections.abc import Collection
from enum import StrEnum
from typing import Protocol


class Door(StrEnum):
    """Where the core meets the world."""

    ENGINE = "engine"
    EXECD = "execd"
    STATE = "state"


class Fault(StrEnum):
    """What becomes of one call."""

    NONE = "none"
    FAIL = "fail"  # an error, and nothing happened
    LOSE = "lose"  # it happened, and the answer is an error
    HANG = "hang"  # nothing happened, and the deadline of the door passed
    LATE = "late"  # it happened, and the deadline of the door passed
    CRASH = "crash"  # the server dies before it happened
    CRASH_AFTER = "crash after"  # the server dies before it knows that it happened


FAULTS = {
    Door.ENGINE: (Fault.FAIL, Fault.LOSE, Fault.HANG, Fault.LATE, Fault.CRASH, Fault.CRASH_AFTER),
    Door.EXECD: (Fault.FAIL, Fault.LOSE, Fault.HANG, Fault.CRASH, Fault.CRASH_AFTER),
    # What a transaction has done SQLite does not deny.
    Door.STATE: (Fault.FAIL, Fault.CRASH, Fault.CRASH_AFTER),
}


class Injector(Protocol):
    """Says what becomes of the next call."""

    def draw(self, door: Door, call: str) -> Fault:
        """The fault of this call."""
        ...


class Calm:
    """Nothing goes wrong."""

    def draw(self, door: Door, call: str) -> Fault:
        return Fault.NONE


class Chances:
    """Each call has a fault with some probability; `rate` is changed as the run goes on."""

    def __init__(self, chance: random.Random, rate: float) -> None:
        self._chance = chance
        self.rate = rate

    def draw(self, door: Door, call: str) -> Fault:
        if self._chance.random() >= self.rate:
            return Fault.NONE
        fault = self._chance.choice(FAULTS[door])
        is_crash = fault in (Fault.CRASH, Fault.CRASH_AFTER)
        # Else servers would die more often than they do anything.
        return Fault.NONE if is_crash and self._chance.random() < 0.5 else fault


class Nth:
    """The `number`th call at one door has a fault; `seen` counts them."""

    def __init__(self, door: Door, number: int, fault: Fault, only: Collection[str] = ()) -> None:
        self._door = door
        self._number = number
        self._fault = fault
        self._only = only
        self.seen = 0
        self.at = ""  # the call that it was

    def draw(self, door: Door, call: str) -> Fault:
        if door is not self._door or (self._only and call not in self._only):
            return Fault.NONE
        self.seen += 1
        if self.seen != self._number:
            return Fault.NONE
        self.at = call
        return self._fault
