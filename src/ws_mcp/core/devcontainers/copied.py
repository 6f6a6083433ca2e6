"""What a Dockerfile reads from its build context (pure). Source: the Dockerfile reference, COPY, ADD, RUN --mount."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from ws_mcp.core.devcontainers.dockerfile import Instruction
from ws_mcp.core.devcontainers.stages import Build, pairs_of
from ws_mcp.core.devcontainers.variables import substituted

WHOLE = ""  # of a context
MAIN = ""  # the context that has no name
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@", re.IGNORECASE)
# What the engine sets by the platform: any name without a slash.
_PLATFORM = ("TARGETARCH", "TARGETOS", "TARGETVARIANT", "BUILDARCH", "BUILDOS", "BUILDVARIANT")

_Values = dict[str, str | None]


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A path in a context, perhaps with wildcards. `excludes`: what of a directory is left out."""

    path: str
    excludes: tuple[str, ...] = ()


def sources_of(build: Build, args: Mapping[str, str | None], context: str = MAIN) -> frozenset[Source]:
    """What is read from the context of this name. A path that cannot be told from here is `WHOLE`."""
    found: set[Source] = set()
    left_by: dict[str, _Values] = {}
    for stage in build.stages:
        values: _Values = dict(left_by.get((stage.base or "").lower(), {}))
        for instruction in stage.instructions:
            if instruction.name in ("ARG", "ENV"):
                _set(instruction, values, build.values, args)
            excludes = _excludes(instruction, values)
            for path in _paths(instruction, context):
                value = substituted(path, values)
                below = WHOLE if value is None else posixpath.normpath(f"/{value}").lstrip("/")
                found.add(Source(below, excludes))
        left_by[stage.name] = values
    return frozenset(found)


def _set(
    instruction: Instruction, values: _Values, outer: Mapping[str, str | None], args: Mapping[str, str | None]
) -> None:
    for name, value in pairs_of(instruction.rest):
        given = value
        if instruction.name == "ARG":
            is_given, default = name in args, "*" if name in _PLATFORM else None
            given = args[name] if is_given else value if value is not None else outer.get(name, default)
        values[name] = substituted(given, values) if given is not None else None


def _excludes(instruction: Instruction, values: _Values) -> tuple[str, ...]:
    """Not where the paths that they are held against are others than those below a directory."""
    flags = instruction.flags()[0] if instruction.name in ("COPY", "ADD") else []
    if any(flag == "parents" for flag, _ in flags):
        return ()
    given = (substituted(value, values) for flag, value in flags if flag == "exclude")
    return tuple(value for value in given if value and not value.startswith("!"))


def _paths(instruction: Instruction, context: str) -> list[str]:
    if instruction.name == "RUN":
        mounts = (value for flag, value in instruction.flags()[0] if flag == "mount")
        return [path for value in mounts if (path := _bound(value, context)) is not None]
    if instruction.name not in ("COPY", "ADD"):
        return []
    flags, rest = instruction.flags()
    if dict(flags).get("from", MAIN).lower() != context:
        return []
    return [word for word in _words(rest)[:-1] if not word.startswith("<<") and not _REMOTE.match(word)]


def _bound(mount: str, context: str) -> str | None:
    """What of the context a `RUN --mount` shows."""
    options = {name: value for name, _, value in (option.partition("=") for option in mount.split(","))}
    if options.get("type", "bind") != "bind" or options.get("from", MAIN).lower() != context:
        return None
    return options.get("source") or options.get("src") or "."


def _words(rest: str) -> list[str]:
    try:
        if rest.startswith("["):
            return [str(word) for word in cast("list[object]", json.loads(rest))]
        return shlex.split(rest.replace("\\$", "\\\\$"))  # that is for who puts in the variables
    except ValueError:
        return [".", ""]  # the engine will not understand it, either
