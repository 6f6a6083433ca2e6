"""The variables of a devcontainer.json: which it reads of this machine, and what they come to (pure).

Source: @devcontainers/cli 0.89, variableSubstitution.ts. It knows `env` as another name of `localEnv`, and substitutes
in what images bring along, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from posixpath import basename
from typing import cast

# As JavaScript has it: its dot matches no line end, and it knows four.
_VARIABLE = re.compile("\\$\\{([^\n\r\u2028\u2029]*?)\\}")
_ANYWHERE = re.compile(f"(?={_VARIABLE.pattern})")  # also within one that is none, whoever may come to read it so
LOCAL = ("env", "localEnv")
MAX_DEPTH = 64


def local_variables(value: object) -> Iterator[str]:
    """The variables of this machine that are read anywhere in it, each time that they are."""
    for text in _texts(value):
        for found in _ANYWHERE.finditer(text):
            kind, *arguments = found[1].split(":")
            if kind in LOCAL:
                yield arguments[0] if arguments else ""


def before_creation(text: str, folder: str, local: Mapping[str, str]) -> str:
    """As the engine is given it. What is not known before there is a container stays."""

    def value_of(kind: str, arguments: list[str]) -> str | None:
        if kind in LOCAL and arguments:
            default = arguments[1] if len(arguments) > 1 else ""
            return local.get(arguments[0], default) or default
        known = {
            "localWorkspaceFolder": folder,
            "localWorkspaceFolderBasename": basename(folder),
            "devcontainerId": "id",
        }
        return known.get(kind)

    return _replaced(text, value_of)


def in_container(text: str, folder: str, path: str, environment: Mapping[str, str], local: Mapping[str, str]) -> str:
    """As a process in a container is given it: `environment` is the container's own, `path` the folder's in it."""

    def value_of(kind: str, arguments: list[str]) -> str | None:
        if kind == "containerEnv" and arguments:
            return environment.get(arguments[0], arguments[1] if len(arguments) > 1 else "")
        known = {"containerWorkspaceFolder": path, "containerWorkspaceFolderBasename": basename(path)} if path else {}
        return known.get(kind)

    return _replaced(before_creation(text, folder, local), value_of)


def _replaced(text: str, value_of: Callable[[str, list[str]], str | None]) -> str:
    def replace(found: re.Match[str]) -> str:
        kind, *arguments = found[1].split(":")
        value = value_of(kind, arguments)
        return found[0] if value is None else value

    return _VARIABLE.sub(replace, text)


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    if depth > MAX_DEPTH:
        yield "${localEnv:}"  # deeper than anybody writes by hand: it is not looked at, so it is not allowed
    elif isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, member in cast("Mapping[str, object]", value).items():
            yield name
            yield from _texts(member, depth + 1)
    elif isinstance(value, list | tuple):
        for member in cast("list[object]", value):
            yield from _texts(member, depth + 1)
