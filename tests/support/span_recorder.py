"""Takes the spans of a process, as an exporter of OpenTelemetry's SDK would, with all that is said to them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, Tracer, TracerProvider, use_span

Said = dict[str, Any]


class RecordedSpan(NonRecordingSpan):
    """A span that tells what was said to it when it ends."""

    def __init__(self, said: Said, tell: Callable[[Said], None]) -> None:
        super().__init__(SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(1)))
        self._said = said
        self._tell = tell

    def set_attribute(self, key: str, value: Any) -> None:
        self._said[key] = str(value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self._said.update({key: str(value) for key, value in attributes.items()})

    def set_status(self, status: Any, description: str | None = None) -> None:
        self._said["status"] = f"{status} {description or ''}".strip()

    def record_exception(self, exception: BaseException, *more: Any, **others: Any) -> None:
        self._said["exception"] = repr(exception)

    def end(self, end_time: int | None = None) -> None:
        self._tell(self._said)


class Recorder(TracerProvider, Tracer):
    """Every tracer of the process."""

    def __init__(self, tell: Callable[[Said], None]) -> None:
        self._tell = tell

    def get_tracer(self, *_: Any, **__: Any) -> Tracer:
        return self

    def start_span(self, name: str, *_: Any, attributes: Mapping[str, Any] | None = None, **__: Any) -> RecordedSpan:
        return RecordedSpan({"name": name, **{key: str(v) for key, v in (attributes or {}).items()}}, self._tell)

    @contextmanager
    def start_as_current_span(  # pyright: ignore[reportIncompatibleMethodOverride]  # the API has a decorator of its own
        self, name: str, *_: Any, **more: Any
    ) -> Generator[RecordedSpan]:
        span = self.start_span(name, attributes=more.get("attributes"))
        flags = {flag: more.get(flag, True) for flag in ("record_exception", "set_status_on_exception")}
        with use_span(span, end_on_exit=True, **flags):
            yield span
