"""Which definition of a folder is meant: below a root of the operator, without links, by nobody else. Blocking."""

from __future__ import annotations

import os
import posixpath
from contextlib import suppress
from pathlib import Path

from ws_mcp.core.devcontainers.definition import NAMES, shown
from ws_mcp.core.devcontainers.discovery import DIRECTORY, FILE, NAMED
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.port import DefinitionMissingError
from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError
from ws_mcp.core.host.model import HostRules
from ws_mcp.core.host.opening import opened, weakness_of

CONFIGS = 100  # of one folder


def find_definition(folder: str, config: str, rules: HostRules) -> Key:
    """The key of the definition `config` of `folder`, or of its only one.

    Raises:
        DefinitionMissingError
        InvalidArgumentError: the path cannot be used, or there are several; says which.
        ForbiddenError: the operator does not allow it, or others could change it.
    """
    real = _open(folder, rules, "folder", is_file=False)
    path = posixpath.join(real, config) if config else _only(real)
    if path.startswith(folder.rstrip("/") + "/"):
        path = real + path.removeprefix(folder.rstrip("/"))
    if not path.startswith(real.rstrip("/") + "/"):
        raise InvalidArgumentError(f"config {config!r} is not in the folder {folder!r}; name one that is")
    if posixpath.basename(path) not in NAMES:
        raise InvalidArgumentError(f"config {config!r} has to be a file with the name {' or '.join(NAMES)}")
    return Key(folder=real, config=_open(path, rules, "config", is_file=True))


def _open(path: str, rules: HostRules, what: str, *, is_file: bool) -> str:
    """The real path. It is our user's or root's, and nobody else may write to it."""
    try:
        with opened(path, rules, what=what, is_file=is_file) as found:
            weakness = weakness_of(found.status, found.status, os.geteuid())
            if weakness:
                raise ForbiddenError(f"{what} {path!r} {weakness}")
            return found.path
    except InvalidArgumentError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise DefinitionMissingError(path) from error
        raise


def _only(folder: str) -> str:
    found = configs_of(folder)
    if not found:
        raise DefinitionMissingError(f"{folder}/{DIRECTORY}/{NAMED}")
    if len(found) > 1:
        names = ", ".join(repr(shown(path, folder)) for path in found)
        raise InvalidArgumentError(f"folder {folder!r} has {len(found)} dev container definitions; name one: {names}")
    return found[0]


def configs_of(folder: str) -> list[str]:
    """The definitions of a folder, in the three places."""
    directory = f"{folder}/{DIRECTORY}"
    found = [path for path in (f"{directory}/{NAMED}", f"{folder}/{FILE}") if os.path.lexists(path)]
    with suppress(OSError):
        names = sorted(entry.name for entry in Path(directory).iterdir() if entry.is_dir())[:CONFIGS]
        found += [path for name in names if os.path.lexists(path := f"{directory}/{name}/{NAMED}")]
    return found
