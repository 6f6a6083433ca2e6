"""Bytes of a process as text for a model, and the one line that says what they are (pure).

Nothing of a terminal's control language gets through: escape sequences, control characters, and characters that a
person would not see (they can carry instructions). What a progress bar wrote over is left out. The bytes themselves are
changed nowhere.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from ws_mcp.core.errors import one_line
from ws_mcp.core.processes.model import (
    Exit,
    OutputRange,
    OutputWindow,
    ProcessInfo,
    ProcessState,
    Stream,
    Until,
    Wait,
    Woke,
)
from ws_mcp.core.unseen import AFTER_BACKSPACE, hidden_in, seen

HELD_ESCAPE_BYTES = 64  # a longer escape sequence may be torn by a cut; those that programs write are shorter
STRING_CHARACTERS = 4096  # a control string without an end hides at most this much of its line

_ESCAPE = re.compile(
    rf"\x1b[\]PX^_][^\x00-\x1f\x7f]{{0,{STRING_CHARACTERS}}}(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[ -/]*[0-~]"  # character sets and two-character sequences
)
_OPEN_ESCAPE = re.compile(rb"\x1b(?:[\]PX^_][^\x00-\x1f\x7f]*|\[[0-?]*[ -/]*|[ -/]*)\Z")
_TO_LINE_START = re.compile(r"\x1b\[(?:0?1?G|2K)")  # what some progress bars use as a carriage return
_REWRITE = re.compile(r"[\r\b\x1b]")
_HIDDEN_BUT_BACKSPACE = re.compile(f"[\x00-\x07{AFTER_BACKSPACE}]")
_HIDDEN_ASCII = bytes(c for c in (*range(32), 127) if c not in b"\t\n")


def text_of(data: bytes) -> str:
    """What a person would read of `data`: at most as many characters as there are bytes. Idempotent."""
    if data.isascii() and not any(mark in data for mark in (b"\x1b", b"\r", b"\b")):
        return data.translate(None, _HIDDEN_ASCII).decode()  # the common case, twenty times faster
    text = data.decode("utf-8", "replace")
    if _REWRITE.search(text):
        text = "\n".join(map(_final, _TO_LINE_START.sub("\r", text).split("\n")))
    return seen(text)


def _final(line: str) -> str:
    """The last state of a line that was written over; a carriage return with nothing after it does not count."""
    states = (_HIDDEN_BUT_BACKSPACE.sub("", state) for state in reversed(_ESCAPE.sub("", line).split("\r")))
    shown = next((state for state in states if state), "")
    return _typed(shown) if "\b" in shown else shown


def _typed(line: str) -> str:
    """A line with backspaces as a terminal shows it: they move back, the next character replaces."""
    cells: list[str] = []
    at = 0
    for character in line:
        if character == "\b":
            at = max(0, at - 1)
        else:
            cells[at : at + 1] = character
            at += 1
    return "".join(cells)


def cut(data: bytes, *, is_end: bool) -> int:
    r"""How many bytes of `data` to show now so that neither a character nor an escape sequence is torn.

    `is_end`: nothing follows (the output is complete, or what follows was dropped). Otherwise up to 3 bytes of a
    character or 63 of an escape sequence are left for the next window, which begins at the cut. Windows that are cut
    so, each rendered, make together the rendering of the whole, except in a line that has a cut inside and is written
    over (`\r`, `\b`): there each window shows its own last state.
    Source: RFC 3629, section 3 (a character has at most 4 bytes).
    """
    if is_end:
        return len(data)
    whole = codecs.utf_8_decode(data, "replace", False)[1]
    escape = data.rfind(b"\x1b", max(0, whole - HELD_ESCAPE_BYTES + 1), whole)
    return escape if escape >= 0 and _OPEN_ESCAPE.match(data[escape:whole]) else whole


def torn(data: bytes) -> int:
    """How many bytes at the start of `data` are the rest of a character that began before it."""
    return next((at for at in range(min(3, len(data))) if data[at] & 0xC0 != 0x80), min(3, len(data)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Bytes `[start, end)` as text, where to read on (None: nothing comes any more), and the line about it."""

    text: str
    start: int
    end: int
    next_offset: int | None
    status: str

    @property
    def whole(self) -> str:
        """The text and, as its last line, the status."""
        gap = "\n" if self.text and not self.text.endswith("\n") else ""
        return f"{self.text}{gap}{self.status}"


def show(
    window: OutputWindow, *, stream: Stream = Stream.OUT, wait: Wait | None = None, is_tail: bool = False
) -> Shown:
    """A window of output for a model. `wait`: what the read waited for; `is_tail`: the last bytes were asked for."""
    info = window.info
    kept = _kept(info, stream)
    skipped = torn(window.data) if window.start and (is_tail or window.missed) else 0
    size = cut(window.data[skipped:], is_end=_is_end(window, kept) or _is_quiet(window, wait, kept))
    start = window.start + skipped
    end = start + size
    following = _following(info, kept, end)
    shown = window.data[skipped : skipped + size]
    parts = (
        f"{info.process} {state_text(info)}",
        _wait_text(window, wait),
        _range_text(info, kept, stream, start, end),
        f"bytes {kept.head_end}-{kept.tail_start} are no longer kept" if kept.dropped > 0 else "",
        _hidden_text(shown),
        "earlier: offset=0" if is_tail and start > 0 else "",
        "end of output" if following is None else f"next offset={following}",
    )
    return Shown(
        text=text_of(shown),
        start=start,
        end=end,
        next_offset=following,
        status=f"[{' | '.join(part for part in parts if part)}]",
    )


def _hidden_text(data: bytes) -> str:
    """That something was left out which could carry instructions; escape sequences always are, and not worth a word."""
    hidden = 0 if data.isascii() else hidden_in(data.decode("utf-8", "replace"))
    return f"{hidden} invisible characters left out" if hidden else ""


def is_held(window: OutputWindow, stream: Stream) -> bool:
    """Whether all that there is of a window is held back: the beginning of a character or of an escape sequence."""
    kept = _kept(window.info, stream)
    if not window.data or window.end < kept.end or _is_end(window, kept):
        return False
    return cut(window.data, is_end=False) == 0


def _kept(info: ProcessInfo, stream: Stream) -> OutputRange:
    return (info.err if stream is Stream.ERR else info.out) or OutputRange()


def _is_end(window: OutputWindow, kept: OutputRange) -> bool:
    """Whether nothing follows the window: the output is complete, or what followed was dropped."""
    return (kept.is_final and window.end >= kept.end) or (kept.dropped > 0 and window.end == kept.head_end)


def _is_quiet(window: OutputWindow, wait: Wait | None, kept: OutputRange) -> bool:
    """Whether a wait found that nothing follows for now: what began at the end of the window does not go on."""
    if wait is None or window.end < kept.end:
        return False
    return window.woke is Woke.IDLE or (wait.until is Until.OUTPUT and window.woke in (Woke.TIMEOUT, Woke.EXIT))


def show_receipt(info: ProcessInfo) -> Shown:
    """What is left of a process whose output is no longer kept."""
    last = "its output is no longer kept, these were its last bytes" if info.last else "its output is no longer kept"
    status = f"[{info.process} {state_text(info)} | {last} | {info.out.end} bytes in all]"
    return Shown(text=text_of(info.last.encode(errors="replace")), start=0, end=0, next_offset=None, status=status)


def _following(info: ProcessInfo, kept: OutputRange, end: int) -> int | None:
    if kept.dropped > 0 and end == kept.head_end:
        return kept.tail_start
    is_over = kept.is_final or info.state is ProcessState.LOST
    return None if is_over and end >= kept.end else end


def state_text(info: ProcessInfo) -> str:
    """The state of a process in a few words."""
    if info.state is ProcessState.RUNNING:
        return "running"
    if info.state is ProcessState.LOST:
        reason = f" ({one_line(info.lost_reason)})" if info.lost_reason else ""
        return f"lost{reason}: how it ended is not known"
    lingering = (
        f", but it left running children (pids {', '.join(map(str, info.lingering[:5]))})" if info.lingering else ""
    )
    return f"{exit_text(info.exit or Exit())} after {span(info.duration_s)}{lingering}"


def exit_text(exit_: Exit) -> str:
    """How a process ended, in a few words."""
    if exit_.reason == "time_limit":
        return "ended by its time limit"
    if exit_.signal is not None:
        return f"killed by {exit_.signal}"
    return "ended" if exit_.code is None else f"exited {exit_.code}"


def span(seconds: float) -> str:
    """A duration for reading."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


_UNMET = {
    Until.EXIT: "it did not end within {}; it runs on",
    Until.OUTPUT: "no new output within {}; it runs on",
    Until.PATTERN: "the pattern did not appear within {}; it runs on",
    Until.IDLE: "it still wrote after {}; it runs on",
}


def _wait_text(window: OutputWindow, wait: Wait | None) -> str:
    """A wait that ended is no failure, and must not read like one."""
    if wait is None:
        return ""
    if window.match is not None:
        return f"the pattern is at bytes {window.match[0]}-{window.match[1]}"
    if window.woke is Woke.TIMEOUT:
        return _UNMET[wait.until].format(span(wait.wait_s))
    if window.woke is Woke.EXIT and wait.until is Until.PATTERN:
        return "it ended before the pattern appeared"
    return ""


def _range_text(info: ProcessInfo, kept: OutputRange, stream: Stream, start: int, end: int) -> str:
    name = "stderr bytes" if stream is Stream.ERR else "bytes"
    if end > start:
        return f"{name} {start}-{end} of {kept.end}"
    if kept.end == 0:
        return "no output yet" if info.state is ProcessState.RUNNING else "no output"
    return f"no new output, {kept.end} {name} so far" if end >= kept.end else f"{name} {start}-{end} of {kept.end}"
