"""The forms in which a secret may stand in a text (pure)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from ws_mcp.core.errors import one_line

MIN_CHARACTERS = 8  # shorter ones would be found everywhere
MIN_LINE = 16  # of a value with lines: a line of it that long counts alone, as of a private key
END_CHARACTERS = 2048  # of a value of more than twice that its beginning and its end are looked for, and its lines
SHORT_END_CHARACTERS = 256  # the same where many are given at once, or one call would keep everybody waiting
LOOK_CHARACTERS = 64  # of an end, from which it is seen how its forms begin
_UPPER = [quote(bytes((byte,)), safe="") for byte in range(256)]  # `quote` itself takes ten times as long
_LOWER = [each.lower() if each.startswith("%") else each for each in _UPPER]
_PLAIN = re.compile(r"[\w.~-]+", re.ASCII)  # looks the same however it is escaped
_LINE = re.compile(rf"[^\r\n]{{{MIN_LINE},}}")


def lines_of(value: str) -> Iterator[str]:
    """The lines of a value that has several, as far as they count alone."""
    if "\n" in value:
        stripped = (found[0].strip() for found in _LINE.finditer(value))
        yield from (line for line in stripped if len(line) >= MIN_LINE)


def parts_of(value: str, end: int = END_CHARACTERS) -> tuple[str, ...]:
    """A value, or its first and last characters where it has more than so many at both ends."""
    return (value,) if len(value) <= 2 * end else (value[:end], value[-end:])


def forms_of(parts: Iterable[str]) -> tuple[str, ...]:
    """As they are, escaped (JSON, Python, URL), flattened to one line, in hex and in base64."""
    texts = dict.fromkeys(text for part in parts for text in (part, part.strip()) if len(text) >= MIN_CHARACTERS)
    found = (form for text in texts for form in _forms_of(text))
    return tuple(dict.fromkeys(form for form in found if len(form) >= MIN_CHARACTERS))


def may_be_in(text: str, value: str) -> bool:
    """Whether a form of a value may begin or end in a text; soon said, without all that its forms are."""
    stripped = value.strip()
    parts = parts_of(stripped if len(stripped) >= MIN_CHARACTERS else value, LOOK_CHARACTERS)
    return any(
        form[:MIN_CHARACTERS] in text or form[-MIN_CHARACTERS:] in text for part in parts for form in forms_of((part,))
    )


def _forms_of(text: str) -> Iterator[str]:
    yield text
    if not _PLAIN.fullmatch(text):
        yield one_line(text, len(text) + 4)
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield repr(text)[1:-1]
        for table in (_UPPER, _LOWER):
            encoded = "".join([table[byte] for byte in text.encode(errors="replace")])
            yield encoded
            yield encoded.replace(table[ord("/")], "/")
            yield encoded.replace("%20", "+")
    raw = text.encode(errors="replace")
    yield from in_base64(raw)
    yield raw.hex()


def in_base64(value: bytes) -> Iterator[str]:
    """The characters that depend on nothing but the value, wherever in the encoded bytes it begins."""
    for before in range(3):
        padded = base64.b64encode(bytes(before) + value).decode().rstrip("=")
        whole = (before + len(value)) * 8 // 6
        encoded = padded[(before * 8 + 5) // 6 : whole]
        if len(encoded) >= MIN_CHARACTERS:
            yield encoded
            yield encoded.translate({ord("+"): "-", ord("/"): "_"})
