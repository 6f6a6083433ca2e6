"""The event log of the dev container CLI, line by line: how far it is, its hooks, and what is worth telling (pure).

The log is JSON events with plain lines of other programs between them. Nothing below level 3 is shown to anybody: the
environment of the container stands there. It is only looked at for why a run failed.
Source: recorded from 0.89.0 (tests/core/devcontainers/recordings); the shapes are no interface that it promises.
"""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import replace

from ws_mcp.core.devcontainers.cli_build import BuildLines
from ws_mcp.core.devcontainers.cli_hooks import HookTimes
from ws_mcp.core.devcontainers.cli_lines import PlainLines, lines_of, meaning_of, text_lines
from ws_mcp.core.devcontainers.model import Hook, Phase
from ws_mcp.core.devcontainers.port import CliProgress
from ws_mcp.core.engine.record import Record

TAIL = 40
SAID = 300  # lines that are looked at for why it failed
WARNINGS = 10
SHOWN = 3  # the lowest level that is shown
WARNING = 4
MAX_OPEN = 4000  # of a line that has no end yet
_PHASES = tuple(Phase)
# How much of all the time a phase begins after: builds and hooks take longest.
_BEGINS = dict(zip(_PHASES, (0.0, 0.05, 0.1, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95), strict=True))
_HEADING = re.compile(r"Running \S+(?: of)?(?: \w+Command)? from ")
_INITIALIZE = "Running the initializeCommand from "
_STARTS = (
    (Phase.BUILD, re.compile(r"Run: \S+ (?:build |buildx build |pull )|Run: .*compose .* (?:build|pull)\b")),
    (Phase.CREATE, re.compile(r"Run: \S+ (?:run|start|create) |Run: .*compose .* up -d|Starting container")),
)
_READS = re.compile(r"Run: (?:\S+ (?:inspect --type image|build|buildx build|run --sig-proxy|compose)|\S*compose)\b")


class EventLog:
    """The log of one run. `fraction`: how far an attempt before it was, below which this one is not said to be."""

    def __init__(self, fraction: float = 0.0) -> None:
        self.phase = Phase.RESOLVE
        self.build = BuildLines()
        self.last_of_hook = ""
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.said: deque[str] = deque(maxlen=SAID)
        self.warnings: list[str] = []
        self._hooks = HookTimes()
        self._plain = PlainLines()
        self._open: dict[str, str] = {}  # the last line of each channel, while it has no end
        self._detail = ""
        self.fraction = fraction
        self._is_reading = False
        self._fresh: list[str] = []  # lines that were not told yet

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """Those that ran, in order; one that was cut short did not go well."""
        return self._hooks.all()

    def feed(self, line: bytes) -> CliProgress | None:
        """Take the next line; how far it is, if that changed or something was said."""
        before = self._progress()
        text = line.decode("utf-8", "replace").rstrip("\r")
        event = _event(text)
        if event is None:
            self._say(self._plain.line(text), is_shown=True)
        else:
            self._plain.event()
            self._take(event)
        after = self._progress()
        return None if after == before and not self._fresh else self._told(after)

    def end(self) -> CliProgress:
        """Nothing comes any more."""
        for channel in tuple(self._open):
            self._flush(channel)
        return self._told(self._progress())

    def _told(self, progress: CliProgress) -> CliProgress:
        fresh, self._fresh = tuple(self._fresh), []
        return replace(progress, lines=fresh)

    def _progress(self) -> CliProgress:
        reached = _BEGINS[self.phase]
        if self.phase is Phase.BUILD:
            reached += self.build.share * (_BEGINS[Phase.CREATE] - reached)
        self.fraction = max(self.fraction, reached)
        return CliProgress(
            phase=self.phase, detail=self._detail, fraction=self.fraction, is_reading_files=self._is_reading
        )

    def _take(self, event: Record) -> None:
        kind, channel, text = event.text("type"), event.text("channel"), event.text("text")
        self._hooks.pass_time(event.number("timestamp"))
        if kind == "progress":
            self._take_hook(event)
        elif kind == "start":
            self._take_start(text, channel)
        elif kind == "stop":
            self._flush(channel)
        elif kind == "raw" and event.number("level") >= SHOWN:
            self._take_raw(text, channel)
        elif kind == "text":
            self._take_text(text, event.number("level"))

    def _take_hook(self, event: Record) -> None:
        phase = self._hooks.progress(event.text("name"), event.text("status"))
        if phase is not None:
            self._enter(phase)
            if event.text("status") == "running":
                self._detail = meaning_of(lines_of(event.text("stepDetail"))[0])

    def _take_start(self, text: str, channel: str) -> None:
        if not channel:
            self._hooks.initialized()
        self._is_reading = self._is_reading or bool(_READS.match(text))
        for phase, pattern in _STARTS:
            if pattern.match(text):
                self._enter(phase)
                self._detail = "pulling an image" if " pull" in text[:40] and phase is Phase.BUILD else self._detail

    def _take_raw(self, text: str, channel: str) -> None:
        if channel and _INITIALIZE in text:
            self._hooks.initializing()
            self._enter(Phase.INITIALIZE)
        *whole, rest = (self._open.pop(channel, "") + text).split("\n")
        for line in whole:
            self._take_line(line, channel)
        if rest:
            self._open[channel] = rest[:MAX_OPEN]
            self._show(lines_of(rest)[0], channel)

    def _take_line(self, line: str, channel: str) -> None:
        for shown in lines_of(line):
            self._show(shown, channel)
            self._say(shown, is_shown=True)

    def _show(self, line: str, channel: str) -> None:
        if self.phase is Phase.BUILD and not channel:
            self.build.feed(line)
            if self.build.step is not None:
                self._detail = str(self.build.step)
        elif channel and _HEADING.match(line):
            self.last_of_hook = ""
        elif channel and (line := meaning_of(line)):
            self._detail = self.last_of_hook = line

    def _take_text(self, text: str, level: int) -> None:
        lines = text_lines(text)
        for line in lines:
            self._say(line, is_shown=level >= SHOWN)
        if level == WARNING and not text.startswith("Retrying") and len(self.warnings) < WARNINGS:
            self.warnings += filter(None, map(meaning_of, lines[:1]))

    def _flush(self, channel: str) -> None:
        if channel in self._open:
            self._take_line(self._open.pop(channel), channel)

    def _say(self, line: str, *, is_shown: bool) -> None:
        if line:
            self.said.append(line)
        if is_shown and (line := meaning_of(line)):
            self.tail.append(line)
            self._fresh.append(line)

    def _enter(self, phase: Phase) -> None:
        if _PHASES.index(phase) > _PHASES.index(self.phase):
            self.phase = phase
            self._detail = ""


def _event(line: str) -> Record | None:
    if not line.startswith('{"'):
        return None
    try:
        event = Record(json.loads(line))
    except (ValueError, RecursionError):
        return None
    return event if event.text("type") else None
