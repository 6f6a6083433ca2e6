"""A host's file with one server more, and everything else as it was (pure)."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import cast

from ws_mcp.core.errors import ConflictError, InvalidArgumentError
from ws_mcp.hosts import NAME, Host, as_text

Config = Mapping[str, object]
BY_HAND = "add the lines by hand"


def merged(host: Host, text: str, config: Config) -> str:
    """The text of the host's file after `config` was added to it.

    Raises:
        InvalidArgumentError: it cannot be read, so nothing can be added by a program.
        ConflictError: it is TOML and has this server already.
    """
    return _with_table(host, text, config) if host.form == "toml" else _with_values(text, config)


def _with_values(text: str, config: Config) -> str:
    try:
        found = cast("object", json.loads(text, object_pairs_hook=_each_once)) if text.strip() else dict[str, object]()
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"it is no plain JSON, without comments ({_where(error)}): {BY_HAND}") from error
    if not isinstance(found, dict):
        raise InvalidArgumentError(f"it is JSON, but no object: {BY_HAND}")
    return json.dumps(_added(cast("Config", found), config), indent=2, ensure_ascii=False) + "\n"


def _added(there: Config, more: Config) -> dict[str, object]:
    """Objects get the entries, and an entry is taken as a whole; lists get what they lack."""
    whole = dict(there)
    for name, value in more.items():
        old = whole.setdefault(name, type(value)())
        if type(old) is not type(value):
            raise InvalidArgumentError(f"its {name!r} is something else than it should be: {BY_HAND}")
        if isinstance(value, list):
            known = cast("list[object]", old)
            whole[name] = [*known, *(one for one in cast("list[object]", value) if one not in known)]
        else:
            whole[name] = {**cast("Config", old), **cast("Config", value)}
    return whole


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object in it has a name twice")  # one of them would be lost
    return found


def _with_table(host: Host, text: str, config: Config) -> str:
    before = _toml(text)
    servers = before.pop(host.servers, {})
    if isinstance(servers, dict) and NAME in servers:
        raise ConflictError(f"it has a server {NAME!r} already: take its table away, or change that by hand")
    added = (text.rstrip("\n") + "\n\n" if text.strip() else "") + as_text(host, config)
    after = _toml(added)  # a table cannot be added to what is written in one line: then it is no TOML any more
    del after[host.servers]
    if after != before:
        raise InvalidArgumentError(f"a table at its end would change others: {BY_HAND}")
    return added


def _toml(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgumentError(
            f"it is no TOML to which a table can be added ({error}): change it by hand"
        ) from error


def _where(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)
