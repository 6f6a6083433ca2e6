"""What this server asks of others (the engine, an execd) and does by itself: counted, and as spans if somebody looks.

A span has our own words only: no text of an exception, no name, no value.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from ws_mcp.core.metrics import METRICS

if TYPE_CHECKING:
    from opentelemetry.trace import Span

Kind = Literal["engine", "execd", "work"]
SDK = "opentelemetry.sdk.trace"  # whoever takes spans has loaded it; without it there is nobody to make one for
COUNTS = {
    "engine": ("engine_calls_total", "Calls of the container engine"),
    "execd": ("execd_calls_total", "Requests to the process daemons in workspaces"),
    "work": ("reconciles_total", "Rounds of the work that a server does by itself"),
}


def takes_spans() -> bool:
    """Whether somebody in this process takes spans."""
    return SDK in sys.modules


class Observed:
    """A block in which one thing is asked for or done."""

    __slots__ = ("_kind", "_op", "_span")

    def __init__(self, kind: Kind, op: str) -> None:
        self._kind: Kind = kind
        self._op = op
        self._span: Span | None = None

    def __enter__(self) -> None:
        if takes_spans():
            self._span = _started(self._kind, self._op)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        name, text = COUNTS[self._kind]
        METRICS.count(name, text, op=self._op, outcome=kind.__name__ if kind else "ok")
        if self._span is not None:
            if kind is not None:
                _failed(self._span, kind)
            self._span.end()


def _started(kind: Kind, op: str) -> Span:
    # A child of the span of the request, which is the current one: it is none itself, since it has no children.
    from opentelemetry.trace import SpanKind, get_tracer  # noqa: PLC0415 - only where somebody looks

    role = SpanKind.INTERNAL if kind == "work" else SpanKind.CLIENT
    return get_tracer("ws-mcp").start_span(f"{kind} {op}", kind=role, attributes={f"ws_mcp.{kind}.op": op})


def _failed(span: Span, kind: type[BaseException]) -> None:
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - as above

    span.set_attribute("error.type", kind.__name__)
    span.set_status(StatusCode.ERROR)
