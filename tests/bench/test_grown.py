"""The lines of growth say what the curves are."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.fit import Point
from tests.bench.grown import Grown, lines_of, page_of, pictures_of
from tests.bench.growth import Curves, Rest

SIZES = (1, 10, 100, 1000, 5000)


def curve(law: Callable[[float], float]) -> list[Point]:
    return [Point(size, law(size)) for size in SIZES]


def grown(*, list_s: Callable[[float], float] = lambda _: 0.01, each: int = 1000) -> Grown:
    memory = curve(lambda size: 80e6 + each * size)
    processes: Curves = {
        "start": curve(lambda size: 0.002 * size),
        "first": curve(lambda _: 0.004),
        "whole": curve(list_s),
        "whole_p99": curve(list_s),
        "server": memory,
        "execd": memory,
    }
    flat: Curves = {"list": curve(lambda _: 0.004), "server": memory}
    output: Curves = {
        "write": curve(lambda size: 0.01 * size),
        "server": curve(lambda _: 80e6),
        "execd": curve(lambda _: 9e6),
    }
    return Grown(
        processes=processes,
        containers=flat,
        chats=flat,
        output=output,
        rest={"alone": Rest(cpu_ms=12, wakes=40)},
    )


def test_what_grows_in_step_and_stays_below_its_limits_holds() -> None:
    lines = lines_of(grown())
    assert all(line.holds is not False for line in lines)
    started = next(line for line in lines if line.name.startswith("processes started"))
    assert (started.ours, started.ratio) == ("2 ms to 10 s", "exponent 1.00, 1.00 at the end")
    assert any(line.ours == "12 ms of CPU and 40 wake-ups a minute" for line in lines)


def test_what_grows_with_the_square_or_takes_too_much_does_not() -> None:
    slow = [line.name for line in lines_of(grown(list_s=lambda size: 1e-6 * size**2)) if line.holds is False]
    assert len(slow) == 2
    assert all(name.startswith("list_processes, 200 at most") for name in slow)
    large = [line.name for line in lines_of(grown(each=5000)) if line.holds is False]
    assert large == ["memory of the server for each process"]


def test_the_page_shows_every_picture() -> None:
    pictures = pictures_of(grown())
    page = page_of("a machine; load before the run 0.1", grown(), list(pictures))
    assert all(f"(pictures/{name}.svg)" in page for name in pictures)
    assert page.startswith("a machine; load")
