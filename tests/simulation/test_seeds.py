"""Random runs of several chats and two servers on one state directory, with faults at every door.

What a seed showed once is kept below. `make soak` runs many more; one seed again: `python -m simulation.run --seed 7`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulation.run import run

SHORT = 12
# What they showed when they first ran. The script has changed since, and with it what a seed does: each of these has a
# test of its own beside the code, too.
SHOWED = {
    10: "the own network of a workspace stayed when it was made anew in a shared one",
    29: "configuration stayed when somebody removed the container and other files were asked for",
    65: "a process was called lost that the same server had just started: the list of places was behind",
    20052: "what a repair after a restart had put right was seen only at the next look: no event told of it",
    1019: "a keyed process of another server was called lost, since no event had told of its workspace",
}
# A server that died has closed nothing; with a real one the kernel does that.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning"
)


@pytest.mark.parametrize("seed", [*range(100, 100 + SHORT), *SHOWED])
def test_every_promise_holds_after_every_step(seed: int) -> None:
    done = run(seed)
    assert not done.failure, str(done)


def test_a_seed_gives_the_same_run_in_every_process() -> None:
    digests = {_digest(hash_seed) for hash_seed in ("1", "2")}
    assert len(digests) == 1


def _digest(hash_seed: str) -> str:
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": paths}
    argv = (sys.executable, "-W", "ignore", "-m", "simulation.run", "--seed", "7", "--steps", "6")
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]
