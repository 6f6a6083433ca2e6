"""The lines of a load say what was measured, and which promise it breaks."""

from __future__ import annotations

from pathlib import Path

from tests.load import figures
from tests.load.chores import Worker
from tests.load.crowd import Cost, Storm
from tests.load.figures import Crowded
from tests.load.floods import RINGS, Flooded
from tests.load.mixed import Mixed, Watch
from tests.load.neighbours import Fared
from tests.load.serving import Posted
from tests.load.vitals import Course, Server, Vitals, above

MIB = 1 << 20
SERVER = Server(pid=1, state=Path("state"), told=Path("told"))


def cost(processes: int, *, each: int = 1000, descriptors: int = 2, threads: int = 5) -> Cost:
    return Cost(
        server_bytes=80 * MIB + each * processes,
        execd_bytes=6000 * processes,
        descriptors=20 + descriptors * processes,
        server_threads=threads,
        execd_threads=20,
    )


def crowded(few: Cost, many: Cost, *, seconds: float = 4.0, list_s: float = 0.02) -> Crowded:
    return Crowded(fewer=100, few=few, size=1000, many=many, seconds=seconds, lists=[list_s] * 100)


def course(*values: float) -> Course:
    made = Course()
    for number, value in enumerate(values):
        made.note(number * 100, value)
    return made


def flooded(*, grown: int = MIB, wrong: int = 0) -> Flooded:
    return Flooded(
        size=MIB,
        count=50,
        seconds=2.0,
        server_most=grown,
        execd_most=50 * RINGS,
        quiet=[0.01],
        beside=[0.05],
        wrong=["1: x | y"] * wrong,
        written=course(1e6, 2e6, 4e6),
        resident=course(1e8, 1e8, 1e8),
    )


def mixed(*values: float, left: tuple[str, ...] = (), calls: int = 20_000) -> Mixed:
    watch = Watch(name="stdio", server=SERVER, above=left)
    watch.resident, watch.memory, watch.descriptors = course(*values), course(*values), course(16, 17, 16)
    worker = Worker(caller=Posted(1, ""), seed=1)
    return Mixed(seed=1, seconds=60, calls=calls, watches=[watch], workers=[worker], daemons=course(1, 1))


def broken(lines: list[figures.Line]) -> list[str]:
    return [line.name for line in lines if line.holds is False]


def test_what_keeps_its_promises_holds() -> None:
    done = Storm(calls=10, seconds=1.0, slowest_s=0.5, wrong=[])
    fared = Fared(quiet=[0.01], beside=[0.015], asked=10, refused=5)
    lines = [
        *figures.of_crowd(crowded(cost(100), cost(1000))),
        *figures.of_storm(done),
        *figures.of_exodus(done),
        *figures.of_floods(flooded()),
        *figures.of_neighbour("asks", fared),
        *figures.of_mixed(mixed(1e8, 1e8, 1e8, 1e8, 1e8)),
    ]
    assert broken(lines) == []
    assert {line.name[:3] for line in lines if line.holds} == {"P04", "P05", "P14", "P15", "P16"}


def test_each_number_that_is_too_large_breaks_its_promise() -> None:
    assert len(broken(figures.of_crowd(crowded(cost(100), cost(1000, each=5000))))) == 1
    assert len(broken(figures.of_crowd(crowded(cost(100), cost(1000, descriptors=5))))) == 1
    assert len(broken(figures.of_crowd(crowded(cost(100), cost(1000, threads=1005))))) == 1
    assert len(broken(figures.of_crowd(crowded(cost(100), cost(1000), seconds=10)))) == 1
    assert len(broken(figures.of_crowd(crowded(cost(100), cost(1000), list_s=0.2)))) == 1
    assert len(broken(figures.of_storm(Storm(calls=1, seconds=30, slowest_s=16, wrong=["x"])))) == 3
    assert len(broken(figures.of_floods(flooded(grown=40 * MIB, wrong=2)))) == 2
    assert len(broken(figures.of_neighbour("asks", Fared(quiet=[0.01], beside=[0.03], wrong=["x"])))) == 2
    assert len(broken(figures.of_mixed(mixed(1e8, 1e8, 1e8, 1e8, 1e8, left=("tasks: 1 before, 2 now",))))) == 1


def test_memory_that_grows_with_the_calls_is_seen() -> None:
    leaking = [1e8 + 200 * 100 * number for number in range(20)]
    assert len(broken(figures.of_mixed(mixed(*leaking)))) == 1
    assert len(broken(figures.of_mixed(mixed(*leaking, calls=400)))) == 0
    assert len(broken(figures.of_mixed(mixed(9e7, 1e8, *[1e8] * 18)))) == 0


def test_what_there_is_more_of_than_before_is_named_and_memory_is_not() -> None:
    counts = {"threads": 3, "tasks": 10, "execds": 0, "execd_bytes": 0, "files": 0}
    before, now = (Vitals(server_bytes=size, descriptors=size, **counts) for size in (16, 18))
    assert above(now, before) == ["descriptors: 16 before, 18 now"]
    assert above(before, now) == []


def test_the_page_shows_every_picture() -> None:
    pictures = {**figures.pictures_of_mixed(mixed(1e8, 1e8, 1e8)), **figures.pictures_of_floods(flooded())}
    page = figures.page_of("a machine", figures.of_floods(flooded(wrong=1)), list(pictures))
    assert all(f"(pictures/{name}.svg)" in page for name in pictures)
    assert all(picture.count("<polyline") for picture in pictures.values())
    assert "1: x / y" in page
