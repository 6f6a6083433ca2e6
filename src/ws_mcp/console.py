"""What people see in a terminal: lines, colours, tables and a progress line; plain text where nobody looks on.

Text of others (commands, paths, names) goes through `one_line` before it gets here: a terminal obeys escape sequences.
"""

from __future__ import annotations

import io
import itertools
import os
import shutil
import sys
import unicodedata
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TextIO

import anyio

PROGRESS_AFTER_S = 1.0  # what is quicker needs no progress line
FRAME_S = 0.1
PLAIN_COLUMNS = 100  # where there is no terminal to ask
MIN_COLUMNS = 12  # a cell that is shortened stays readable


class Style(StrEnum):
    """Ways to show text; the value is the ANSI code."""

    PLAIN = ""
    BOLD = "1"
    DIM = "2"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    CYAN = "36"


class Mark(StrEnum):
    """Verdicts; words and not signs, so that they survive every terminal, log and screen reader."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


_MARK_STYLES = {Mark.OK: Style.GREEN, Mark.WARN: Style.YELLOW, Mark.BAD: Style.RED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a table."""

    text: str
    style: Style = Style.PLAIN


class Console:
    """Writes for people: results to `out`, progress to `err`."""

    def __init__(self, out: TextIO, err: TextIO, *, is_coloured: bool, columns: int) -> None:
        self._out = out
        self._err = err
        self._is_coloured = is_coloured
        self.columns = columns

    def line(self, text: str = "", style: Style = Style.PLAIN) -> None:
        """Write one line at once."""
        try:
            self._out.write(self.paint(text, style) + "\n")
            self._out.flush()
        except BrokenPipeError:
            # The reader has gone (`| head`): nobody reads the rest, but who writes may still have to clear away.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())

    def paint(self, text: str, style: Style) -> str:
        """`text` in a style, or as it is where colours are not wanted."""
        return f"\x1b[{style.value}m{text}\x1b[0m" if self._is_coloured and style is not Style.PLAIN else text

    def mark(self, mark: Mark) -> str:
        """A verdict, padded to one width."""
        return self.paint(f"{mark.value:<4}", _MARK_STYLES[mark])

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[Cell]], *, shrink: int, indent: str = "") -> None:
        """Write rows under headers; in a terminal the column `shrink` is cut so that each row is one line."""
        plain = [headers, *([cell.text for cell in row] for row in rows)]
        widths = [max(width_of(line[column]) for line in plain) for column in range(len(headers))]
        spare = self.columns - len(indent) - sum(widths) - 2 * (len(widths) - 1)
        if spare < 0 and self._out.isatty():
            widths[shrink] = max(MIN_COLUMNS, widths[shrink] + spare)
        for row in ([Cell(text=header, style=Style.DIM) for header in headers], *rows):
            cells = (self._cell(cell, width) for cell, width in zip(row, widths, strict=True))
            self.line(f"{indent}{'  '.join(cells)}".rstrip())

    def _cell(self, cell: Cell, width: int) -> str:
        text = shortened(cell.text, width)
        return self.paint(text, cell.style) + " " * (width - width_of(text))

    @asynccontextmanager
    async def progress(self, text: str) -> AsyncGenerator[None]:
        """Say on stderr what is going on inside, if it takes longer than a second."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._spin, text)
                yield
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            # What the body raised, as it raised it: whoever asks for a progress line does not expect a group.
            first, *others = group.exceptions
            if others:
                raise
            raise first from None

    async def _spin(self, text: str) -> None:
        await anyio.sleep(PROGRESS_AFTER_S)
        if not self._err.isatty():
            self._say(f"{text} ...\n")
            return
        began = anyio.current_time() - PROGRESS_AFTER_S
        try:
            for sign in itertools.cycle("|/-\\"):
                self._say(f"\r\x1b[K{sign} {text} ({anyio.current_time() - began:.0f} s)")
                await anyio.sleep(FRAME_S)
        finally:
            self._say("\r\x1b[K")

    def _say(self, text: str) -> None:
        self._err.write(text)
        self._err.flush()


def console() -> Console:
    """The console of this process; NO_COLOR, a dumb terminal and a pipe mean plain text."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    is_dumb = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    is_terminal = sys.stdout.isatty()
    columns = shutil.get_terminal_size((PLAIN_COLUMNS, 24)).columns if is_terminal else PLAIN_COLUMNS
    return Console(sys.stdout, sys.stderr, is_coloured=is_terminal and not is_dumb, columns=columns)


def width_of(text: str) -> int:
    """How many columns of a terminal `text` takes (Unicode Standard Annex 11)."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def shortened(text: str, columns: int) -> str:
    """`text` in at most `columns` columns, its end cut away where it is longer."""
    if width_of(text) <= columns:
        return text
    while text and width_of(text) > columns - 3:
        text = text[:-1]
    return f"{text}..."


def size_text(count: int) -> str:
    """Bytes for reading."""
    amount, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def age_text(seconds: float) -> str:
    """An age in one unit: 12 s, 3 min, 5 h, 2 d."""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{max(0.0, seconds) / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def home_path(path: str) -> str:
    """A path with the home directory as `~`."""
    home = str(Path.home())
    return f"~{path[len(home) :]}" if path == home or path.startswith(f"{home}/") else path
