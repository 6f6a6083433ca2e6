"""`ws-mcp audit`: what was asked of the servers of this instance, for the person at this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import anyio

from ws_mcp.console import Console, Mark, Style, console
from ws_mcp.core.audit.chain import Entry, chain_key, entry_of
from ws_mcp.core.audit.review import Review, Worth, files_of, reviewed
from ws_mcp.core.errors import NotFoundError, one_line
from ws_mcp.core.state import open_state
from ws_mcp.doors import choices_of
from ws_mcp.settings import Settings

FOLLOW_S = 0.5
CHAT_CHARACTERS = 8
KEEP_ACTS = 10_000  # whose outcome may still come, to be shown with the name of the tool
_NONE = """\
Nothing was written down in this state directory. It is where a server runs with --audit on, or over HTTP."""
_MARKS = {Worth.WHOLE: Mark.OK, Worth.OPEN: Mark.OK, Worth.CUT: Mark.WARN, Worth.DAMAGED: Mark.BAD}
_OUTCOMES = {
    "ok": Style.GREEN,
    "failed": Style.YELLOW,
    "denied": Style.RED,
    "cut short": Style.YELLOW,
    "left": Style.YELLOW,
}


async def tail(settings: Settings, lines: int, follow: bool) -> int:
    """Print the last lines of all files, and those that come."""
    state, shown = choices_of(settings).state, console()
    if not files_of(state) and not follow:
        shown.line(_NONE)
        return 0
    acts: dict[tuple[str, object], str] = {}
    places: dict[Path, int] = {}
    found = _entries(state, places)
    for number, (file, entry) in enumerate(found, 1 - len(found)):
        _note(acts, file, entry.fields)
        if number > -lines:
            _show(shown, acts, file, entry.fields)
    while follow:
        await anyio.sleep(FOLLOW_S)
        for file, entry in _entries(state, places):
            _note(acts, file, entry.fields)
            _show(shown, acts, file, entry.fields)
    return 0


async def verify(settings: Settings) -> int:
    """Say of each file what it proves; the exit code is 1 if one is damaged."""
    state, shown = choices_of(settings).state, console()
    files = files_of(state)
    if not files:
        shown.line(_NONE)
        return 0
    async with open_state(state, settings.state_database) as opened:
        key = chain_key(opened.instance.key)
    reviews = reviewed(files, key)
    for review in reviews:
        shown.line(f"{shown.mark(_MARKS[review.worth])} {_verdict(review)}")
    return 1 if any(review.worth is Worth.DAMAGED for review in reviews) else 0


async def export(settings: Settings, follow: bool) -> int:
    """Write every line as it is in its file, so that it can be checked again, and those that come.

    Raises:
        NotFoundError: there is none.
    """
    state = choices_of(settings).state
    if not files_of(state) and not follow:
        raise NotFoundError("audit file", "any", (), "A server writes some with --audit on, or over HTTP.")
    places: dict[Path, int] = {}
    while True:
        sys.stdout.buffer.writelines(line for _, line in _new(state, places))
        sys.stdout.buffer.flush()
        if not follow:
            return 0
        await anyio.sleep(FOLLOW_S)


def _verdict(review: Review) -> str:
    why = f": {review.why}" if review.why else ""
    return f"{review.file}  {review.lines} lines, {review.worth}{why}"


def _entries(state: Path, places: dict[Path, int]) -> list[tuple[str, Entry]]:
    """What was written since, of all files in the order in which it was."""
    read = ((file, entry_of(line)) for file, line in _new(state, places))
    return sorted(
        ((file, entry) for file, entry in read if entry is not None), key=lambda found: str(found[1].fields.get("ts"))
    )


def _new(state: Path, places: dict[Path, int]) -> Iterator[tuple[str, bytes]]:
    """The lines that were written since, file by file; one that is not whole yet comes the next time."""
    for file in files_of(state):
        with file.open("rb") as handle:
            handle.seek(places.get(file, 0))
            whole, end, _ = handle.read().rpartition(b"\n")
        places[file] = places.get(file, 0) + len(whole) + len(end)
        yield from ((file.name, line + b"\n") for line in whole.split(b"\n") if end)


def _note(acts: dict[tuple[str, object], str], file: str, fields: Mapping[str, object]) -> None:
    if fields.get("kind") == "intent":
        acts[file, fields.get("seq")] = str(fields.get("verb"))
        while len(acts) > KEEP_ACTS:
            del acts[next(iter(acts))]


def _show(shown: Console, acts: dict[tuple[str, object], str], file: str, fields: Mapping[str, object]) -> None:
    at = str(fields.get("ts", ""))[:19].replace("T", " ")
    kind = fields.get("kind")
    if kind == "intent":
        who = f"{fields.get('principal')} {str(fields.get('chat', '-'))[:CHAT_CHARACTERS]}"
        what = f"{fields.get('verb')} {fields.get('target', '')} {_words(fields.get('shown'))}"
        rule = f"{fields.get('decision')} ({fields.get('rule')})"
        text, style = f"{who}  {what}  {rule}", Style.PLAIN if fields.get("decision") == "allow" else Style.RED
    elif kind == "outcome":
        verb = acts.get((str(fields.get("in", file)), fields.get("of")), "?")
        more = f"{fields.get('error', '')} {_words(fields.get('made'))}"
        outcome = str(fields.get("outcome"))
        text, style = f"  {verb}: {outcome} in {fields.get('ms')} ms {more}", _OUTCOMES.get(outcome, Style.PLAIN)
    elif kind == "gap":
        text, style = f"{fields.get('missed')} lines could not be written before this", Style.RED
    else:
        text, style = f"{file}: {kind}", Style.DIM
    shown.line(f"{at}  {shown.paint(_clean(text), style)}")


def _words(values: object) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items()) if isinstance(values, dict) else ""  # pyright: ignore[reportUnknownVariableType]


def _clean(text: str) -> str:
    indent = "  " if text.startswith("  ") else ""
    return indent + one_line(text, 400)
