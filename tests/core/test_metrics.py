"""Counts, and how they are written for Prometheus."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis.strategies import dictionaries, floats, lists, text

from ws_mcp.core.metrics import SERIES, Metrics, Sample

LINE = re.compile(r'[a-z_]+(\{[a-z]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z]+="(?:[^"\\\n]|\\["\\n])*")*\})? -?[0-9.e+inf-]+')


def test_counters_durations_and_gauges_are_written_with_their_kind() -> None:
    metrics = Metrics()
    metrics.count("calls_total", "Calls", tool="read_output", outcome="ok")
    metrics.count("calls_total", "Calls", tool="read_output", outcome="ok")
    metrics.observe("call_seconds", "Time", 0.2, tool="read_output")
    written = metrics.written([Sample(name="open_fds", text="Files", value=7)])
    assert '# TYPE ws_mcp_calls_total counter\nws_mcp_calls_total{tool="read_output",outcome="ok"} 2\n' in written
    assert 'ws_mcp_call_seconds_bucket{tool="read_output",le="0.1"} 0\n' in written
    assert 'ws_mcp_call_seconds_bucket{tool="read_output",le="0.25"} 1\n' in written
    assert 'ws_mcp_call_seconds_bucket{tool="read_output",le="+Inf"} 1\n' in written
    assert 'ws_mcp_call_seconds_sum{tool="read_output"} 0.2\n' in written
    assert written.endswith("# HELP ws_mcp_open_fds Files\n# TYPE ws_mcp_open_fds gauge\nws_mcp_open_fds 7\n")


@given(
    values=lists(dictionaries(text("abc", min_size=1, max_size=3), text(max_size=5), max_size=2)), took=floats(0, 99)
)
def test_whatever_a_label_says_a_line_stays_a_line(values: list[dict[str, str]], took: float) -> None:
    metrics = Metrics()
    for labels in values:
        metrics.count("x_total", "X", **labels)
        metrics.observe("y_seconds", "Y", took, **labels)
    lines = [line for line in metrics.written().split("\n") if line and not line.startswith("#")]
    assert [line for line in lines if not LINE.fullmatch(line)] == []


def test_series_are_bounded() -> None:
    metrics = Metrics()
    for number in range(SERIES + 10):
        metrics.count("x_total", "X", rule=str(number))
        metrics.observe("y_seconds", "Y", 1.0, rule=str(number))
    written = metrics.written()
    assert written.count("ws_mcp_x_total{") == SERIES
    assert written.count("ws_mcp_y_seconds_count{") == SERIES
