"""What is fitted is what was put in, and a plot has every point."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis.strategies import floats

from tests.bench import svg
from tests.bench.fit import Point, power_law, slope

SVG = "{http://www.w3.org/2000/svg}"
SIZES = (1.0, 10.0, 100.0, 5000.0)


@given(exponent=floats(-2, 3), factor=floats(1e-3, 1e3))
def test_a_power_law_is_found_again(exponent: float, factor: float) -> None:
    law = power_law([Point(x, factor * x**exponent) for x in SIZES])
    assert math.isclose(law.exponent, exponent, abs_tol=1e-6)
    assert math.isclose(law.at(77), factor * 77**exponent, rel_tol=1e-6)


@given(each=floats(-1e4, 1e6), rest=floats(0, 1e8))
def test_what_one_more_costs_is_found_again(each: float, rest: float) -> None:
    assert math.isclose(slope([Point(x, rest + each * x) for x in SIZES]), each, rel_tol=1e-6, abs_tol=1e-3)


@pytest.mark.parametrize("points", [[], [Point(3, 1), Point(3, 2)]])
def test_one_size_says_nothing_about_growth(points: list[Point]) -> None:
    with pytest.raises(ValueError, match="two different"):
        power_law(points)


def test_a_power_law_refuses_what_has_no_logarithm() -> None:
    with pytest.raises(ValueError, match="above 0"):
        power_law([Point(1, 1), Point(2, 0)])


def test_a_plot_of_growth_has_every_point_within_its_axes_and_says_the_exponent() -> None:
    points = [Point(x, 0.001 * x) for x in SIZES]
    drawn = svg.growth(
        "a <title>", "how many", [svg.Series(name="list", points=points, law=power_law(points))], str, str
    )
    root = ElementTree.fromstring(drawn)
    circles = root.findall(f"{SVG}circle")
    assert len(circles) == len(points)
    for circle in circles:
        assert svg.LEFT <= float(circle.attrib["cx"]) <= svg.WIDTH - svg.RIGHT
        assert svg.TOP <= float(circle.attrib["cy"]) <= svg.HEIGHT - svg.BOTTOM
    texts = [text.text for text in root.findall(f"{SVG}text")]
    assert "a <title>" in texts
    assert "list: exponent 1.00" in texts


def test_equal_values_still_have_an_axis() -> None:
    axis = svg.axis_of([10.0, 10.0], 0, 100)
    assert axis.high > axis.low
    assert 0 <= axis.at(10.0) <= 100


def test_longer_bars_are_of_larger_values_and_a_side_without_one_is_named_still() -> None:
    rows = [
        svg.Bar(name="ours", value=0.002, text="2 ms", is_ours=True),
        svg.Bar(name="theirs", value=0.2, text="200 ms"),
        svg.Bar(name="none", value=None, text="has none"),
        svg.Bar(name="zero", value=0, text="0 of 5"),
    ]
    root = ElementTree.fromstring(svg.bars("start", rows))
    widths = [float(rect.attrib["width"]) for rect in root.findall(f"{SVG}rect")]
    assert 0 == widths[2] == widths[3] < widths[0] < widths[1]
    assert {"ours", "has none", "0 of 5"} <= {text.text for text in root.findall(f"{SVG}text")}
