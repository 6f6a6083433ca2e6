"""How far a pull is said to be."""

from __future__ import annotations

from hypothesis import given
from hypothesis.strategies import fixed_dictionaries, integers, lists, sampled_from

from ws_mcp.core.engine.progress import PullProgress
from ws_mcp.core.engine.record import Record

STATUSES = (
    "Pulling from library/x",
    "Pulling fs layer",
    "Waiting",
    "Downloading",
    "Verifying Checksum",
    "Download complete",
    "Extracting",
    "Pull complete",
    "Already exists",
)
TOLD = fixed_dictionaries(
    {
        "status": sampled_from(STATUSES),
        "id": sampled_from(["", "a", "b", "c"]),
        "progressDetail": fixed_dictionaries({"current": integers(-5, 20), "total": integers(-5, 10)}),
    }
)


@given(messages=lists(TOLD, max_size=30))
def test_the_fraction_never_falls_and_is_never_the_whole(messages: list[dict[str, object]]) -> None:
    progress = PullProgress()
    fractions = [progress.feed(Record(message))[1] for message in messages]
    assert fractions == sorted(fractions)
    assert all(0 <= fraction < 1 for fraction in fractions)


def test_layers_that_are_here_are_counted() -> None:
    progress = PullProgress()
    assert progress.feed(Record({"status": "Pulling from x", "id": "1"})) == ("asking the registry", 0)
    progress.feed(Record({"status": "Pulling fs layer", "id": "a"}))
    phase, fraction = progress.feed(Record({"status": "Pulling fs layer", "id": "b"}))
    assert (phase, fraction) == ("downloading layers, 0 of 2 are here", 0)
    half = {"status": "Downloading", "id": "a", "progressDetail": {"current": 5, "total": 10}}
    assert progress.feed(Record(half))[1] == 0.175
    phase, _ = progress.feed(Record({"status": "Already exists", "id": "a"}))
    assert phase == "downloading layers, 1 of 2 are here"
    phase, fraction = progress.feed(Record({"status": "Download complete", "id": "b"}))
    assert (phase, fraction) == ("unpacking layers", 0.85)
