"""What dev containers may mount: named volumes, memory, and directories below the operator's roots (pure)."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from posixpath import basename, normpath

from ws_mcp.core.devcontainers.allowances import Allowances, Violation
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.sightings import is_below
from ws_mcp.core.devcontainers.substitution import before_creation
from ws_mcp.core.engine.record import Record
from ws_mcp.core.host.model import Given

_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SOCKET = re.compile(r".*\.(sock|socket)|docker\.raw", re.IGNORECASE)
_HARMLESS_OPTION = re.compile(
    "type|source|src|target|destination|dst|readonly|ro|rw|consistency|bind-propagation|bind-nonrecursive|"
    "volume-nocopy|tmpfs-size|tmpfs-mode|external|u|z"
)
TYPES = ("bind", "volume", "tmpfs")
CLOSED = "is, holds, or is in, what no workspace may have (system, engine or ws-mcp's own files, somebody's socket)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """What this machine says of its paths. As made here it says what their text does.

    `real`: where one really leads; `is_closed`: whether nobody may have it, whatever the operator allows; `given`: what
    is there, for who mounts it at the second path.
    """

    real: Callable[[str], str] = normpath
    is_closed: Callable[[str], bool] = lambda _: False
    given: Callable[[str, str], Given | None] = lambda _path, _target: None


TEXT = Paths()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Whose definition is looked at, and by which rules."""

    key: Key
    allowances: Allowances
    paths: Paths

    def text(self, value: str) -> str:
        """With its variables in place, as far as they are known."""
        return before_creation(value, self.key.folder, self.allowances.local_env)

    def why_not_reached(self, path: str) -> str:
        """Why a definition does not reach a real path; empty if it does."""
        if not any(is_below(path, root) for root in self.allowances.roots):
            return "it is not below the roots that the operator named"
        if self.allowances.within is None:
            return ""
        own = (self.key.folder, *self.allowances.within)
        if any(is_below(path, self.paths.real(root)) for root in own):
            return ""
        return "it is neither in the folder of the definition nor below a root that the operator's policy gives you"


def mount_violations(case: Case, subject: str, value: object) -> Iterator[Violation]:
    """Of a mount in the form of `--mount`, or of the object that the CLI makes one from."""
    text = value if isinstance(value, str) else _as_text(value)
    if text is None:
        yield Violation(
            subject=subject, value=repr(value), why="is neither text nor an object with a type and a target"
        )
        return
    text = case.text(text)
    try:
        (fields,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        fields = None
    if fields is None or not text.isprintable():
        yield Violation(subject=subject, value=text, why="cannot be read as a mount")
        return
    pairs = [(name.strip().lower(), value.strip()) for name, _, value in (field.partition("=") for field in fields)]
    yield from _of_pairs(case, subject, text, pairs)


def volume_violations(case: Case, subject: str, value: str) -> Iterator[Violation]:
    """Of a mount in the form of `-v`."""
    text = case.text(value)
    source, colon, _ = text.partition(":")
    if colon:
        yield from source_violations(case, subject, source, text)


def source_violations(case: Case, subject: str, source: str, text: str) -> Iterator[Violation]:
    """Of what is mounted: a volume's name, or a path."""
    if _VOLUME.fullmatch(source) or not source:
        return
    if not source.startswith("/") or "${" in source or not source.isprintable():
        yield Violation(subject=subject, value=text, why="where its source leads is not known")
        return
    yield from bind_violations(case, subject, source, text)


def bind_violations(case: Case, subject: str, source: str, text: str) -> Iterator[Violation]:
    """Of the absolute path `source`, which is mounted."""
    path = _normal(case.paths.real(_normal(source)))
    allowed = case.allowances
    if case.paths.is_closed(path):
        yield Violation(subject=subject, value=text, why=CLOSED)
    elif _SOCKET.fullmatch(basename(path)):
        why = "a socket of this machine lets the container rule whoever listens there (an engine: the whole machine)"
        yield Violation(subject=subject, value=text, why=why)
    elif not any(is_below(path, root) for root in allowed.mounts) and (why := case.why_not_reached(path)):
        yield Violation(subject=subject, value=text, why=why, allow=f"mount:{path}")


def _normal(path: str) -> str:
    return "/" + normpath(path).lstrip("/")  # POSIX lets two slashes stand at the beginning


def _of_pairs(case: Case, subject: str, text: str, pairs: list[tuple[str, str]]) -> Iterator[Violation]:
    kinds = [value.lower() for name, value in pairs if name == "type"]
    for kind in kinds:
        if kind not in TYPES:
            yield Violation(subject=subject, value=text, why=f"mounts of type {kind[:20]!r} are not known here")
    for name, _ in pairs:
        if not _HARMLESS_OPTION.fullmatch(name):
            # A volume with a driver's options is a mount of whatever those name.
            yield Violation(subject=subject, value=text, why=f"what {name[:40]!r} does is not known here")
    sources = [value for name, value in pairs if name in ("source", "src")]
    is_memory = kinds[-1:] == ["tmpfs"] and len(kinds) == 1
    for source in () if is_memory else sources:
        if "bind" in kinds and _VOLUME.fullmatch(source):
            yield Violation(subject=subject, value=text, why="where its source leads is not known")
        else:
            yield from source_violations(case, subject, source, text)


def _as_text(value: object) -> str | None:
    # Whatever stands in it becomes part of one text: a comma in a source begins an option.
    fields = Record(value)
    texts = fields.strings()
    if not isinstance(value, dict) or not {"type", "target"} <= texts.keys():
        return None
    if "source" in fields.keys() and "source" not in texts:  # noqa: SIM118 - a Record is no dict
        return None
    source = f"src={texts['source']}," if texts.get("source") else ""
    return f"type={texts['type']},{source}dst={texts['target']}"
