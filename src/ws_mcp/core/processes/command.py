"""What a shell command says about itself: that it wants the background, that it only prints files (pure).

It reads quotes, escapes and comments, not the whole grammar: where it is not sure it says nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DUMP_NOTE = "this only prints or lists files; a tool of yours that reads and searches files shows less and costs less"

_DUMPS = re.compile(r"cat\s+[^\s-]|(?:rg|grep)\s+(?:.*\s)?--include-all\b|(?:rg|grep)\s+-l\s")
_JOINS = re.compile(r"[|;&<>\n]|\$\(|`")
_BEFORE_OTHER = frozenset("&|;<>")  # `&&`, `|&`, `;&`, `<&`, `>&` are other things than the background
_QUOTES = frozenset("'\"`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The command to run; whether a trailing `&` was taken off it; a note for the model, or nothing."""

    command: str | tuple[str, ...]
    promoted_background: bool = False
    note: str = ""


def advise(command: str | tuple[str, ...]) -> Advice:
    """Look at a command before it is started. Every process runs in the background, so a trailing `&` only hides it."""
    if not isinstance(command, str):
        return Advice(command=command)
    end = _background_at(command)
    rest = command[:end].rstrip() if end is not None else ""
    note = DUMP_NOTE if _only_dumps(rest or command) else ""
    if not rest:
        return Advice(command=command, note=note)
    return Advice(command=rest, promoted_background=True, note=note)


def _only_dumps(command: str) -> bool:
    plain = command.strip()
    return _DUMPS.match(plain) is not None and _JOINS.search(plain) is None


def _background_at(command: str) -> int | None:
    """Where the `&` that ends the command is; None when it does not end with one."""
    if "<<" in command and "\n" in command:  # a here document: its lines are no code
        return None
    last = ""  # the last character that counts, "" for one that is quoted or escaped
    before = ""
    at = -1
    place = 0
    while place < len(command):
        character = command[place]
        if character == "#" and (place == 0 or command[place - 1] in " \t\n;&|("):
            place = _end_of_line(command, place)
            continue
        taken = _quoted(command, place)
        if taken is None:
            return None
        if taken > 1:
            before, last = last, ""
        elif not character.isspace():
            # A space between keeps two operators apart.
            before, last, at = ("" if command[place - 1 : place].isspace() else last), character, place
        place += taken
    return at if last == "&" and before not in _BEFORE_OTHER else None


def _end_of_line(command: str, place: int) -> int:
    end = command.find("\n", place)
    return len(command) if end < 0 else end


def _quoted(command: str, place: int) -> int | None:
    """How many characters an escape or a quotation at `place` takes; 1 for a plain one; None when it does not end."""
    opening = command[place]
    if opening == "\\":
        return 2
    if opening not in _QUOTES:
        return 1
    end = place + 1
    while end < len(command) and command[end] != opening:
        end += 2 if command[end] == "\\" and opening != "'" else 1
    return end + 1 - place if end < len(command) else None
