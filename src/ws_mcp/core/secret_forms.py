"""The forms in which a secret may stand in a text (pure)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from ws_mcp.core.errors import one_line

MIN_CHARACTERS = 8  # shorter ones would be found everywhere
MIN_LINE = 16  # of a value with lines: a line of it that long counts alone, as of a private key
END_CHARACTERS = 2048  # of a value of more than twice that its beginning and its end are looked for, and its lines
_PLAIN = re.compile(r"[\w.~-]+", re.ASCII)  # looks the same however it is escaped
_LINE = re.compile(rf"[^\r\n]{{{MIN_LINE},}}")


def lines_of(value: str) -> Iterator[str]:
    """The lines of a value that has several, as far as they count alone."""
    if "\n" in value:
        stripped = (found[0].strip() for found in _LINE.finditer(value))
        yield from (line for line in stripped if len(line) >= MIN_LINE)


def ends_of(value: str) -> str:
    """What is kept of a value: as much as tells its forms from others'."""
    return value if len(value) <= 2 * END_CHARACTERS else value[:END_CHARACTERS] + value[-END_CHARACTERS:]


def forms_of(value: str) -> tuple[str, ...]:
    """As it is, escaped (JSON, Python, URL), flattened to one line, in hex and in base64, whole or at its ends."""
    is_short = len(value) <= 2 * END_CHARACTERS
    parts = (value,) if is_short else (value[:END_CHARACTERS], value[-END_CHARACTERS:])
    texts = dict.fromkeys(text for part in parts for text in (part, part.strip()) if len(text) >= MIN_CHARACTERS)
    found = (form for text in texts for form in _forms_of(text))
    return tuple(dict.fromkeys(form for form in found if len(form) >= MIN_CHARACTERS))


def _forms_of(text: str) -> Iterator[str]:
    yield text
    if not _PLAIN.fullmatch(text):
        yield one_line(text, len(text) + 4)
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield repr(text)[1:-1]
        for encoded in (quote(text, errors="replace"), quote(text, safe="", errors="replace")):
            yield encoded
            yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
        yield quote_plus(text, errors="replace")
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
