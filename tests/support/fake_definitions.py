"""Definitions of dev containers in memory: what a test writes, reads, breaks and takes away."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import anyio.lowlevel

from ws_mcp.core.devcontainers.definition import config_parts, live_parts
from ws_mcp.core.devcontainers.model import Key, Kind
from ws_mcp.core.devcontainers.port import (
    Definition,
    DefinitionMissingError,
    Fingerprint,
    SilentDefinitionError,
    UnreadableDefinitionError,
)
from ws_mcp.core.devcontainers.sightings import is_below
from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError

ROOT = "/projects"


def key_of(folder: str, config: str = ".devcontainer/devcontainer.json") -> Key:
    """The dev container of a project below `ROOT`."""
    return Key(folder=f"{ROOT}/{folder}", config=f"{ROOT}/{folder}/{config}")


class FakeDefinitions:
    """See `ws_mcp.core.devcontainers.port.Definitions`. A text that is no JSON object cannot be read."""

    def __init__(self) -> None:
        self.texts: dict[Key, str] = {}
        self.files: dict[Key, dict[str, str]] = {}
        self.asked = 0  # how often anything was
        self.hidden: set[Key] = set()  # that no search finds: git ignores them, or they are new
        self.silence: dict[str, float] = {}  # roots whose disk does not answer
        self.fault: Exception | None = None  # of a search, until it is None
        self.on_fingerprint: Callable[[Key], None] = lambda _: None

    def write(self, key: Key, properties: Mapping[str, object] | str, **files: str) -> None:
        """A definition and the files that it brings in, by part."""
        self.texts[key] = properties if isinstance(properties, str) else json.dumps(properties)
        self.files.setdefault(key, {}).update(files)

    def delete(self, key: Key) -> None:
        """It is gone."""
        self.texts.pop(key, None)

    async def read(self, key: Key) -> Definition:
        await self._asked()
        return definition_of(key, self._text(key))

    async def fingerprint(self, key: Key) -> Fingerprint:
        await self._asked()
        self.on_fingerprint(key)
        definition = definition_of(key, self._text(key))
        parts = config_parts(definition) | live_parts(definition)
        parts |= {f"ctx/{name}": _digest(text) for name, text in self.files.get(key, {}).items()}
        image = definition.properties.get("image")
        return Fingerprint(parts=parts, images=(image,) if isinstance(image, str) else ())

    async def stamps(self, keys: Sequence[Key]) -> tuple[str, ...]:
        await self._asked()
        told = {key: f"{self.texts.get(key)}{self.files.get(key)}" for key in keys if not self._silent_root(key)}
        return tuple(_digest(told.get(key, "")) for key in keys)

    async def find(self, folder: str, config: str) -> Key:
        await self._asked()
        if not folder.startswith(ROOT):
            raise ForbiddenError(f"{folder!r} is not below a root of the operator; start with --root")
        found = [key for key in self.texts if key.folder == folder and config in ("", key.config)]
        if len(found) > 1:
            raise InvalidArgumentError(f"{folder!r} has several: {', '.join(key.config for key in found)}")
        if not found:
            raise DefinitionMissingError(folder)
        return found[0]

    async def discover(self) -> tuple[Key, ...]:
        await self._asked()
        if self.fault is not None:
            raise self.fault
        return tuple(key for key in self.texts if key not in self.hidden)

    def silent(self) -> Mapping[str, float]:
        return dict(self.silence)

    def _silent_root(self, key: Key) -> str:
        return next((root for root in self.silence if is_below(key.folder, root)), "")

    async def _asked(self) -> None:
        self.asked += 1
        await anyio.lowlevel.checkpoint()

    def _text(self, key: Key) -> str:
        if root := self._silent_root(key):
            raise SilentDefinitionError(repr(root), self.silence[root])
        if key not in self.texts:
            raise DefinitionMissingError(key.config)
        return self.texts[key]


def definition_of(key: Key, text: str) -> Definition:
    """A text as read, strictly.

    Raises:
        UnreadableDefinitionError
    """
    try:
        value = cast("object", json.loads(text))
    except ValueError as error:
        raise UnreadableDefinitionError(f"{key.config}: line 1: {error}") from error
    if not isinstance(value, dict):
        raise UnreadableDefinitionError(f"{key.config}: line 1: it is no object")
    properties = cast("dict[str, object]", value)
    kind = Kind.COMPOSE if "dockerComposeFile" in properties else Kind.IMAGE
    return Definition(key=key, kind=kind, text=text, properties=properties)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
