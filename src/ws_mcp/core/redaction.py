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
MAX_VALUES = 4096
MAX_CHARACTERS = 16 << 20  # of all forms together; beyond either bound nothing can be vouched for any more
SHOWN = "[redacted]"
WITHHELD = "[withheld: more secrets are known than can be looked for]"
_NAME = re.compile(
    r"token|secret|passw(or)?d|passphrase|credential|private|api_?key|access_?key|auth(?!or)|_key$|_pat$|_pw$|dsn",
    re.IGNORECASE,
)
_USER_PART = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name is likely to hold a secret."""
    return _NAME.search(name) is not None


class Redactor:
    """Knows secret values and cleans texts of them; values are kept in memory as long as the process lives."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._forms: dict[str, None] = {}
        self._ends: tuple[tuple[str, str, str], ...] = ()  # form, first and last characters
        self._size = 0
        self._is_full = False

    def add(self, value: str) -> None:
        """Look for this value from now on."""
        if len(value) < MIN_CHARACTERS or value in self._values or self._is_full:
            return
        self._values.add(value)
        new = [form for form in forms_of(value) if form not in self._forms]
        self._size += sum(map(len, new))
        self._forms.update(dict.fromkeys(new))
        self._is_full = len(self._values) > MAX_VALUES or self._size > MAX_CHARACTERS
        self._ends += tuple((form, form[:CUT], form[-CUT:]) for form in new)

    def add_variables(self, environment: Mapping[str, str]) -> None:
        """Look for the values of variables with telling names, and for passwords in addresses."""
        for name, value in environment.items():
            if is_secret_name(name):
                self.add(value)
            for password in _USER_PART.findall(value):
                self.add(password)

    def clean(self, text: str) -> str:
        """`text` without any known value; as a whole withheld when there are more than can be looked for."""
        if len(text) < MIN_CHARACTERS:
            return text
        if self._is_full:
            return WITHHELD
        found = [span for form, head, tail in self._ends for span in _found(text, form, head, tail)]
        return _without(text, found) if found else text


SECRETS = Redactor()
"""The one of this process: logging is one for all of it, too."""


def forms_of(value: str) -> Iterator[str]:
    """The forms in which a value may stand in a text."""
    lines = [line for line in map(str.strip, value.splitlines()) if len(line) >= MIN_LINE] if "\n" in value else []
    for text in (value, value.strip(), *lines):
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
