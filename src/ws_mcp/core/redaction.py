"""Secret values that this server was given, and their removal from whatever it writes about itself.

A value is looked for as it is, and in the forms that text takes on its way into a line: escaped (JSON, Python, URL),
flattened to one line, in base64 at each of its three alignments. Of a value that our own texts cut short
the rest is found, too, down to `CUT` characters. It protects logs and errors from accidents. It is no wall: who has the
value can write it in a form that nobody looks for.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus

from ws_mcp.core.errors import one_line

MIN_CHARACTERS = 8  # shorter ones would be found everywhere
CUT = 12  # characters of a value's beginning or end that give it away
MIN_LINE = 16  # of a value with lines: a line of it that long counts alone, as of a private key
MAX_GIVEN = 4096  # values of callers; an older one makes room, or one chat could take the log away from everybody
MAX_CHARACTERS = 16 << 20  # of all their forms together
END_CHARACTERS = 8192  # of a longer value its beginning and its end are looked for, and its lines
SHOWN = "[redacted]"
_NAME = re.compile(
    r"token|secret|passw(or)?d|passphrase|credential|private|api_?key|access_?key|auth(?!or)|_key$|_pat$|_pw$|dsn",
    re.IGNORECASE,
)
_HANDLE = re.compile(r"\bc_[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])")  # of a chat: who has it is in
_USER_PART = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")

_Ends = tuple[tuple[str, str, str], ...]
"""Forms of a value, each with its first and its last characters."""


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name is likely to hold a secret."""
    return _NAME.search(name) is not None


def without_handles(text: str) -> str:
    """`text` without handles of chats, whether or not this server knows them."""
    return _HANDLE.sub("c_...", text)


class Redactor:
    """Knows secret values and cleans texts of them. Values are kept in memory, as long as the process lives.

    What it makes of a text must not go back to a caller who did not give the values: it would tell whether a guess is
    right. `edge.intake` has one for each call.
    """

    def __init__(self) -> None:
        self._own: dict[str, _Ends] = {}
        self._given: dict[str, _Ends] = {}
        self._size = 0

    def add_own(self, value: str) -> None:
        """Look for a secret of the server's or its operator's from now on, always."""
        if len(value) >= MIN_CHARACTERS and value not in self._own:
            self._own[value] = _ends_of(value)

    def add_own_bytes(self, value: bytes) -> None:
        """The same for a key, as it is written where bytes have to be text."""
        for text in (value.hex(), repr(value)[2:-1], *_in_base64(value)):
            self.add_own(text)

    def add(self, value: str) -> None:
        """Look for a secret that a caller gave, until there are too many newer ones."""
        if len(value) < MIN_CHARACTERS or value in self._own or value in self._given:
            return
        self._given[value] = ends = _ends_of(value)
        self._size += _size_of(ends)
        while len(self._given) > MAX_GIVEN or self._size > MAX_CHARACTERS:
            self._size -= _size_of(self._given.pop(next(iter(self._given))))

    def add_variables(self, environment: Mapping[str, str], *, is_own: bool) -> None:
        """Look for the values of variables with telling names, and for passwords in addresses."""
        add = self.add_own if is_own else self.add
        for name, value in environment.items():
            if is_secret_name(name):
                add(value)
            for password in _USER_PART.findall(value):
                add(password)

    def clean(self, text: str) -> str:
        """`text` without any known value."""
        if len(text) < MIN_CHARACTERS:
            return text
        found = [
            span
            for known in (self._own, self._given)
            for ends in known.values()
            for form, head, tail in ends
            for span in _found(text, form, head, tail)
        ]
        return _without(text, found) if found else text


SECRETS = Redactor()
"""The one of this process: logging is one for all of it, too."""


def _ends_of(value: str) -> _Ends:
    parts = (value,) if len(value) <= 2 * END_CHARACTERS else (value[:END_CHARACTERS], value[-END_CHARACTERS:])
    forms = dict.fromkeys(form for part in (*parts, *_lines_of(value)) for form in forms_of(part))
    return tuple((form, form[:CUT], form[-CUT:]) for form in forms)


def _size_of(ends: _Ends) -> int:
    return sum(len(form) for form, _, _ in ends)


def _lines_of(value: str) -> list[str]:
    return [line for line in map(str.strip, value.splitlines()) if len(line) >= MIN_LINE] if "\n" in value else []


def forms_of(value: str) -> Iterator[str]:
    """The forms in which a value may stand in a text."""
    for text in (value, value.strip()):
        if len(text) < MIN_CHARACTERS:
            continue
        yield text
        yield one_line(text, len(text) + 4)
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield repr(text)[1:-1]
        for encoded in (quote(text, errors="replace"), quote(text, safe="", errors="replace")):
            yield encoded
            yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
        yield quote_plus(text, errors="replace")
        yield from _in_base64(text.encode(errors="replace"))
        yield text.encode(errors="replace").hex()


def _in_base64(value: bytes) -> Iterator[str]:
    """The characters that depend on nothing but the value, wherever in the encoded bytes it begins."""
    for before in range(3):
        padded = base64.b64encode(bytes(before) + value).decode().rstrip("=")
        whole = (before + len(value)) * 8 // 6
        encoded = padded[(before * 8 + 5) // 6 : whole]
        if len(encoded) >= MIN_CHARACTERS:
            yield encoded
            yield encoded.translate({ord("+"): "-", ord("/"): "_"})


def _found(text: str, form: str, head: str, tail: str) -> Iterator[tuple[int, int]]:
    at = text.find(head)
    while at >= 0:
        end = at + len(head)
        end += _same(text[end : at + len(form)], form[len(head) :])
        yield at, end
        at = text.find(head, end)
    if len(form) == len(head):
        return
    at = text.find(tail)
    while at >= 0:
        before = text[max(0, at - len(form) + len(tail)) : at]
        yield at - _same(before[::-1], form[: -len(tail)][::-1]), at + len(tail)
        at = text.find(tail, at + len(tail))


def _same(one: str, other: str) -> int:
    """How many characters both begin with."""
    if one == other[: len(one)]:
        return len(one)
    return next(place for place, (left, right) in enumerate(zip(one, other, strict=False)) if left != right)


def _without(text: str, found: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    done = 0
    for begin, end in sorted(found):
        if begin > done or not parts:
            parts += [text[done:begin], SHOWN]
        done = max(done, end)
    return "".join((*parts, text[done:]))
