"""Secret values that this server was given, and their removal from whatever it writes about itself.

A value is looked for in the forms of `secret_forms`. Of a value that our own texts cut short the rest is found, too,
down to `sought.CUT` characters. It protects logs and errors from accidents. It is no wall: who has the value can write
it in a form that nobody looks for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from ws_mcp.core.secret_forms import (
    END_CHARACTERS,
    MIN_CHARACTERS,
    SHORT_END_CHARACTERS,
    forms_of,
    in_base64,
    lines_of,
    may_be_in,
    parts_of,
)
from ws_mcp.core.sought import Sought

MAX_GIVEN = 4096  # values of callers, and lines of them; who has the most makes room for others
MAX_CHARACTERS = 8 << 20  # of all their forms together
MAX_LINES = 128  # of values that are given together, which count alone
MAX_FOUND = 32  # values that may be in one text; one with more was made for that, and is not worth the time
FEW = 16  # values and lines that are given together; of more the ends are short
SHOWN = "[redacted]"
_NAME = re.compile(
    r"token|secret|passw(or)?d|passphrase|credential|private|api_?key|access_?key|auth(?!or)|_key$|_pat$|_pw$|dsn",
    re.IGNORECASE,
)
_HANDLE = re.compile(r"\bc_[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])")  # of a chat: who has it is in
_USER_PART = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name is likely to hold a secret."""
    return _NAME.search(name) is not None


def without_handles(text: str) -> str:
    """`text` without handles of chats, whether or not this server knows them."""
    return _HANDLE.sub("c_...", text)


@dataclass(slots=True)
class _Share:
    """What one caller gave: the forms of each text by what is kept of it, the oldest first."""

    forms: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict[tuple[str, ...], tuple[str, ...]])
    characters: int = 0


class Redactor:
    """Knows secret values and cleans texts of them. Values are kept in memory, as long as the process lives.

    What it makes of a text must not go back to a caller who did not give the values: it would tell whether a guess is
    right. For that there is `without`.
    """

    def __init__(self) -> None:
        self._own: set[str] = set()
        self._shares: dict[str, _Share] = {}
        self._sought = Sought()
        self._count = 0
        self._characters = 0

    def add_own(self, value: str) -> None:
        """Look for a secret of the server's or its operator's from now on, always."""
        for text in (value, *lines_of(value)):
            if len(text) >= MIN_CHARACTERS and text not in self._own:
                self._own.add(text)
                for form in forms_of(parts_of(text)):
                    self._sought.add(form)

    def add_own_bytes(self, value: bytes) -> None:
        """The same for a key, as it is written where bytes have to be text."""
        for text in (value.hex(), repr(value)[2:-1], *in_base64(value)):
            self.add_own(text)

    def add(self, *values: str, by: str = "") -> None:
        """Look for secrets that a caller gave together, until there are too many newer ones.

        Room is made by whoever has the most, so that nobody pushes out what others gave.
        """
        texts = _with_lines(values)
        end = END_CHARACTERS if len(texts) <= FEW else SHORT_END_CHARACTERS
        for text in texts:
            if len(text) >= MIN_CHARACTERS and text not in self._own:
                self._add(parts_of(text, end), by)
        while self._count > MAX_GIVEN:
            self._forget(max(self._shares, key=lambda who: len(self._shares[who].forms)))
        while self._characters > MAX_CHARACTERS:
            self._forget(max(self._shares, key=lambda who: self._shares[who].characters))

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
        found = sorted(self._sought.spans(text))
        return _without(text, found) if found else text

    def _add(self, parts: tuple[str, ...], by: str) -> None:
        share = self._shares.setdefault(by, _Share())
        if parts in share.forms:
            return
        share.forms[parts] = forms = forms_of(parts)
        for form in forms:
            self._sought.add(form)
        self._count += 1
        self._grow(share, sum(map(len, forms)))

    def _forget(self, by: str) -> None:
        share = self._shares[by]
        forms = share.forms.pop(next(iter(share.forms)))
        for form in forms:
            self._sought.remove(form)
        self._count -= 1
        self._grow(share, -sum(map(len, forms)))
        if not share.forms:
            del self._shares[by]

    def _grow(self, share: _Share, characters: int) -> None:
        share.characters += characters
        self._characters += characters


SECRETS = Redactor()
"""The one of this process: logging is one for all of it, too."""


def without(text: str, values: Sequence[str]) -> str:
    """`text` without these values, which nothing remembers."""
    found = [value for value in _with_lines(values) if may_be_in(text, value)]
    if not found:
        return text
    if len(found) > MAX_FOUND:
        return SHOWN
    redactor = Redactor()
    redactor.add(*found)
    return redactor.clean(text)


def _with_lines(values: Sequence[str]) -> list[str]:
    return [*values, *islice((line for value in values for line in lines_of(value)), MAX_LINES)]


def _without(text: str, found: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    done = 0
    for begin, end in found:
        if begin > done or not parts:
            parts += [text[done:begin], SHOWN]
        done = max(done, end)
    return "".join((*parts, text[done:]))
