"""What a person sees in a terminal, in a pipe, and while something takes long."""

from __future__ import annotations

import io
import os

import anyio
import anyio.lowlevel
import pytest

from ws_mcp.console import Cell, Console, Mark, Style, age_text, console, shortened, size_text, width_of


class Terminal(io.StringIO):
    """A stream that says that somebody looks on."""

    def isatty(self) -> bool:
        return True


def in_terminal(columns: int = 40) -> tuple[Console, Terminal, Terminal]:
    out, err = Terminal(), Terminal()
    return Console(out, err, is_coloured=True, columns=columns), out, err


def in_pipe() -> tuple[Console, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Console(out, err, is_coloured=False, columns=40), out, err


ROWS = [
    (Cell(text="p_1"), Cell(text="running", style=Style.GREEN), Cell(text="x" * 60)),
    (Cell(text="p_22"), Cell(text="ended"), Cell(text="make")),
]


def test_a_table_fits_into_the_terminal_and_stays_in_line() -> None:
    shown, out, _ = in_terminal()
    shown.table(("ID", "STATE", "COMMAND"), ROWS, shrink=2)
    lines = [
        line.replace("\x1b[0m", "").replace("\x1b[32m", "").replace("\x1b[2m", "")
        for line in out.getvalue().splitlines()
    ]
    assert [len(line) <= 40 for line in lines] == [True] * 3
    assert [line.index(word) for line, word in zip(lines, ("STATE", "running", "ended"), strict=True)] == [6, 6, 6]
    assert lines[1].endswith("xxx...")


def test_a_table_in_a_pipe_is_whole_and_plain() -> None:
    shown, out, _ = in_pipe()
    shown.table(("ID", "STATE", "COMMAND"), ROWS, shrink=2)
    assert "x" * 60 in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_a_verdict_is_a_word_with_and_without_colour() -> None:
    assert in_pipe()[0].mark(Mark.BAD) == "bad "
    assert in_terminal()[0].mark(Mark.BAD) == "\x1b[31mbad \x1b[0m"


def test_a_reader_that_goes_away_does_not_end_who_writes() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as out:
        shown = Console(out, io.StringIO(), is_coloured=False, columns=40)
        os.close(reader)
        shown.line("one")
        shown.line("two")


async def test_what_is_quick_shows_no_progress() -> None:
    shown, _, err = in_terminal()
    async with shown.progress("asking"):
        await anyio.lowlevel.checkpoint()
    assert err.getvalue() == ""


async def test_what_is_slow_says_so_and_cleans_its_line(virtual_time: None) -> None:
    shown, _, err = in_terminal()
    async with shown.progress("asking"):
        await anyio.sleep(3.05)
    assert "asking (2 s)" in err.getvalue()
    assert err.getvalue().endswith("\r\x1b[K")


async def test_what_is_slow_says_so_once_in_a_pipe(virtual_time: None) -> None:
    shown, _, err = in_pipe()
    async with shown.progress("asking"):
        await anyio.sleep(30)
    assert err.getvalue() == "asking ...\n"


async def test_an_error_under_a_progress_line_comes_out_as_it_is() -> None:
    shown, _, _ = in_pipe()
    with pytest.raises(KeyError):
        async with shown.progress("asking"):
            raise KeyError


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_nobody_gets_colours_who_does_not_want_them(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert console().paint("x", Style.RED) == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv(name, value)
    assert console().paint("x", Style.RED) == "x"


def test_wide_and_combining_characters_are_counted_as_they_are_shown() -> None:
    assert width_of("日本") == 4
    assert width_of("e\u0301") == 1
    assert shortened("日本語日本語", 9) == "日本語..."


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")])
def test_sizes_are_readable(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (12.4, "12 s"), (180, "3 min"), (5 * 3600, "5 h"), (3 * 86400, "3 d")]
)
def test_ages_are_readable(seconds: float, text: str) -> None:
    assert age_text(seconds) == text
