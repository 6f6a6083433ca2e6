"""The log on stderr: text for people or JSON for machines; each line whole, without secrets, not too many alike."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from ws_mcp.core.redaction import SECRETS, Redactor, without_handles

FORMATS = ("text", "json")
ALIKE = 20  # lines of one kind (logger and wording, whatever the values) in a window; the rest is counted
WINDOW_S = 10.0
KINDS = 1000  # that are told apart; the oldest makes room
WITHHELD = "a line was withheld: it could not be made safe"


def configure(level: str, form: str, environment: Mapping[str, str]) -> None:
    """Log to stderr from now on; secrets in the environment of this server are known from the start."""
    SECRETS.add_variables(environment, is_own=True)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(SECRETS) if form == "json" else TextLines(SECRETS))
    handler.addFilter(Alike())
    logging.basicConfig(level=level.upper(), handlers=[handler])


class TextLines(logging.Formatter):
    """As people read it. Only what follows a traceback has more than one line."""

    def __init__(self, secrets: Redactor) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """One record; what cannot be made safe is not shown at all."""
        try:
            return without_handles(self._secrets.clean(self._line(record)))
        except Exception:  # noqa: BLE001 - around one line: no value of it may get out, and logging must not fail
            return f"{record.levelname} {record.name}: {WITHHELD}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The first line, with what a terminal would obey written out."""
        shown = super().formatMessage(record)
        return shown if shown.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in shown)

    def _line(self, record: logging.LogRecord) -> str:
        record.exc_text = None  # another handler's: it is not this one's to show
        return super().format(record)


class JsonLines(TextLines):
    """One object a line: ts, level, logger, event (the wording without its values), message, and error if there is."""

    def _line(self, record: logging.LogRecord) -> str:
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": str(record.msg),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps({name: without_handles(self._secrets.clean(value)) for name, value in line.items()})

    def format(self, record: logging.LogRecord) -> str:
        """One record as JSON, also when it cannot be shown."""
        try:
            return self._line(record)
        except Exception:  # noqa: BLE001 - as above
            return json.dumps({"level": record.levelname.lower(), "logger": record.name, "message": WITHHELD})


class Alike(logging.Filter):
    """Lets the first lines of a kind through; the first one of the next window says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        kind = (record.name, str(record.msg))
        begun, count = self._kinds.pop(kind, (record.created, 0))
        if record.created - begun >= WINDOW_S:
            if count > ALIKE:
                record.msg = f"{record.msg} ({count - ALIKE} more like it were left out)"
            begun, count = record.created, 0
        self._kinds[kind] = begun, count + 1
        while len(self._kinds) > KINDS:
            del self._kinds[next(iter(self._kinds))]
        return count < ALIKE


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
