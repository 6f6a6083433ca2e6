"""What the texts of settings mean: lists, named values, names, addresses. Problems are worded for the operator (pure).

A flag that can be repeated comes as a list of texts, a variable as one text: JSON, or a short form.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from ws_mcp.core.devcontainers.allowances import allowances_of
from ws_mcp.core.engine.node_ways import node_ways_of
from ws_mcp.core.errors import InvalidArgumentError

Reader = Callable[[object], object]
"""Makes of what an operator wrote what a type is checked with."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_LISTENING = re.compile(r"unix:/.{1,100}|(?:localhost|[0-9.]{7,15}|\[[0-9a-fA-F:]{2,45}\]):\d{1,5}")
_CONSTRAINT = re.compile(
    r"(?:node\.(?:hostname|role|platform\.(?:os|arch)|labels\.[\w.-]+)|engine\.labels\.[\w.-]+)\s*"
    r"[=!]=\s*[\w.:/-]+",
    re.ASCII,
)
_ADDRESS = re.compile(r"https?://[!-~]+", re.ASCII)


def listed(value: object) -> object:
    """Several texts: a JSON list, or separated as PATH is."""
    if not isinstance(value, str):
        return value
    return _json(value) if value.lstrip().startswith("[") else [part for part in value.split(os.pathsep) if part]


def words(value: object) -> object:
    """Several words: a JSON list, or with commas between."""
    if not isinstance(value, str):
        return value
    is_json = value.lstrip().startswith("[")
    return _json(value) if is_json else [part.strip() for part in value.split(",") if part.strip()]


def allowance(word: str) -> str:
    """A word that allows something to the definitions of dev containers."""
    return _read(word, lambda: allowances_of([word], (), {}))


def node_way(text: str) -> str:
    """How nodes of a swarm are reached."""
    return _read(text, lambda: node_ways_of([text]))


def node_tls(text: str) -> str:
    """What is shown to nodes of a swarm."""
    return _read(text, lambda: node_ways_of([], [text]))


def constraint(text: str) -> str:
    """Where workspaces may be in a swarm."""
    if not _CONSTRAINT.fullmatch(text):
        raise ValueError(
            "is no constraint on nodes: node.hostname, node.role, node.platform.arch, node.labels.NAME or "
            "engine.labels.NAME, == or !=, and a value; as node.labels.disk==ssd"
        )
    return text


def named(form: str, names: re.Pattern[str] = _NAME, hint: str = "letters, digits, '_', '.', '-'") -> Reader:
    """Values by name: a JSON object, or `form` once in each text or separated by commas in one."""

    def read(value: object) -> object:
        if isinstance(value, str):
            is_json = value.lstrip().startswith("{")
            value = _json(value) if is_json else [part.strip() for part in value.split(",") if part.strip()]
        pairs = list(cast("Mapping[str, object]", value).items()) if isinstance(value, Mapping) else _pairs(value, form)
        for name, _ in pairs:
            if not names.fullmatch(name):
                raise ValueError(f"the name {name[:60]!r} cannot be used in {form}: {hint}")
        by_name = dict(pairs)
        if len(by_name) < len(pairs):
            twice = next(name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1)
            raise ValueError(f"{twice!r} is given twice")
        return by_name

    return read


def absolute(path: Path) -> Path:
    """A directory, whatever the directory is that the server was started in."""
    if not str(path).strip() or str(path) == ".":
        raise ValueError("names no directory")
    return path.expanduser().absolute()


def whole(sizes: dict[str, float]) -> dict[str, float]:
    """Sizes, of which only processors come in parts."""
    for name, number in sizes.items():
        if not name.endswith("cpus") and number != int(number):
            raise ValueError(f"{name} is {number:g}: a whole number")
    return sizes


def plain_name(text: str) -> str:
    """A name, or nothing."""
    if text and not _NAME.fullmatch(text):
        raise ValueError("is no name: letters, digits, '_', '.', '-'")
    return text


def web_address(text: str) -> str:
    """An address of the web, or nothing."""
    if text and not _ADDRESS.fullmatch(text):
        raise ValueError("is no address: http://HOST:PORT or https://HOST")
    return text


def database_address(text: str) -> str:
    """The address of a PostgreSQL database, or nothing. It can hold a password, so no problem repeats it."""
    if text and not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("is no address: postgresql://USER@HOST/DATABASE")
    return text


def has_password(address: str) -> bool:
    """Whether the address of a database holds one."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return bool(parts.password) or any(name == "password" for name, _ in parse_qsl(parts.query))


def listening(text: str) -> str:
    """Where to listen, or nothing."""
    if text and not _LISTENING.fullmatch(text):
        raise ValueError("is neither ADDRESS:PORT nor unix:/PATH")
    return text


def _read(text: str, read: Callable[[], object]) -> str:
    try:
        read()
    except InvalidArgumentError as error:
        raise ValueError(str(error)) from error
    return text


def _pairs(value: object, form: str) -> list[tuple[str, object]]:
    if not isinstance(value, Sequence):
        raise ValueError(f"is not {form}")  # noqa: TRY004 - pydantic words a ValueError, not a TypeError
    pairs: list[tuple[str, object]] = []
    for text in cast("Sequence[object]", value):
        name, separator, found = str(text).partition("=")
        if not separator or not found:
            raise ValueError(f"{str(text)[:60]!r} is not {form}")
        pairs.append((name.strip(), found))
    return pairs


def _json(text: str) -> object:
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise ValueError("is no JSON, though it begins like it") from error
