"""One side in the middle of one step: its directory, its server, what it started."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.peers.figures import LIMIT_S
from tests.bench.peers.marks import new_mark
from tests.bench.peers.side import Side, environment_of
from tests.support.raw_client import RawClient, RawClientError, open_child

END_S = 5.0  # for a server whose client is gone; some stay
SETTLE_S = 4.0  # after a kill, until what is alive is counted
SHOWN_S = 10.0  # for what a running process has printed
FLOOD_BYTES = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How often."""

    starts: int
    reads: int
    many: int
    flood_bytes: int


FULL = Effort(starts=40, reads=100, many=100, flood_bytes=FLOOD_BYTES)
QUICK = Effort(starts=5, reads=10, many=10, flood_bytes=FLOOD_BYTES // 10)


@dataclass(frozen=True, slots=True)
class Bench:
    """A side, the directory of its server, and the mark of what the step starts."""

    side: Side
    home: Path
    effort: Effort
    mark: str = field(default_factory=new_mark)

    @contextmanager
    def open(self) -> Generator[RawClient]:
        """A server that is ready for starts."""
        argv, only = self.side.argv(self.home), environment_of(self.side, self.home)
        with open_child(argv, self.home / "log", only=only, end_s=END_S) as child:
            client = RawClient(child, self.side.era, LIMIT_S)
            self.side.connect(client)
            self.side.prepare(client)
            yield client


def shows(side: Side, client: RawClient, process: str, word: str) -> bool:
    """Whether a word of a running process can be read within some seconds."""
    until = time.monotonic() + SHOWN_S
    while time.monotonic() < until:
        if word in side.read(client, process).text:
            return True
        time.sleep(0.05)
    return False


def read_until(side: Side, client: RawClient, process: str, word: str) -> None:
    """Read again and again.

    Raises:
        RawClientError: it did not come.
    """
    until = time.monotonic() + LIMIT_S
    while word not in side.read(client, process).text:
        if time.monotonic() > until:
            raise RawClientError(f"{word!r} did not come within {LIMIT_S:.0f} s")
