"""`ws-mcp config HOST`: prints what a host has to be told of a server, or puts it into the host's file."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from ws_mcp.console import Style, console, home_path
from ws_mcp.core.errors import InvalidArgumentError, StateError, WsError
from ws_mcp.core.replacing import replace_file
from ws_mcp.core.unseen import printable
from ws_mcp.hosts import BY_NAME, TOKEN_VARIABLE, Host, as_text, has_http, over_http, over_stdio
from ws_mcp.merging import merged

MAX_BYTES = 4 << 20  # of a host's file
THIS = (sys.executable, "-m", "ws_mcp", "stdio")  # whatever else there is under its name on PATH or at an index
_STYLES = {"+": Style.GREEN, "-": Style.RED, "@": Style.CYAN}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigWish:
    """What was asked for. `uvx`: what `uvx` is to start in place of this installation; `flags`: of the server."""

    host: str
    url: str = ""
    flags: Sequence[str] = ()
    uvx: str = ""
    writes: bool = False
    is_sure: bool = False


def config(wish: ConfigWish) -> int:
    """Print the configuration, or show what it changes in the host's file and write it; 1: it was not written.

    Raises:
        InvalidArgumentError: the host cannot be told so, or its file cannot be read.
        ConflictError: its file has a server of this name already, and is not to be changed by a program.
        StateError: its file cannot be written.
    """
    host = BY_NAME[wish.host]
    wanted = _wanted(host, wish)
    if not wish.writes:
        print(as_text(host, wanted), end="")  # noqa: T201 - as it is, whatever the terminal
        _say_where(host, wish)
        return 0
    path = path_of(host, Path.cwd(), Path.home(), os.environ, is_mac=sys.platform == "darwin")
    before = _read(path)
    try:
        after = merged(host, before, wanted)
    except WsError as error:
        raise type(error)(f"{home_path(str(path))}: {error}") from error
    return _put(path, before, after, is_sure=wish.is_sure)


def flags_of(given: Mapping[str, object]) -> Iterator[str]:
    """The flags by which settings were given, as words of a command line."""
    for name, value in given.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            yield f"--{flag}" if value else f"--no-{flag}"
        else:
            for each in cast("list[str]", value) if isinstance(value, list) else [str(value)]:
                yield from (f"--{flag}", each)


def path_of(host: Host, project: Path, home: Path, environment: Mapping[str, str], *, is_mac: bool) -> Path:
    """The host's file.

    Raises:
        InvalidArgumentError: which one it is is not known.
    """
    if not host.file:
        raise InvalidArgumentError("which file the host reads is not known: leave --write out, and add the lines there")
    if host.is_project:
        return project / host.file
    if environment.get(host.directory_variable):
        return Path(environment[host.directory_variable]) / Path(host.file).name
    return home / (host.mac_file if is_mac and host.mac_file else host.file)


def _wanted(host: Host, wish: ConfigWish) -> dict[str, object]:
    if not wish.url:
        command = ("uvx", "--from", wish.uvx, "ws-mcp", "stdio") if wish.uvx else THIS
        return over_stdio(host, (*command, *wish.flags))
    if wish.flags or wish.uvx:
        raise InvalidArgumentError("flags and --uvx are for a server that the host starts: give flags to `ws-mcp http`")
    if not has_http(host):
        raise InvalidArgumentError(f"{host.title} has only servers that it starts itself in its file: leave --http out")
    parts = urlsplit(wish.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidArgumentError("--http wants the server's address, such as http://127.0.0.1:8811/mcp")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidArgumentError(
            "the address has more than a path: a token never stands in a URL, nor in a host's file; it comes from "
            f"the variable {TOKEN_VARIABLE}"
        )
    return over_http(host, wish.url)


def _say_where(host: Host, wish: ConfigWish) -> None:
    where = f"{'' if host.is_project else '~/'}{host.file}"
    place = f"{host.title} reads it from {where}; --write puts it there" if host.file else "as most hosts read it"
    token = f"; {TOKEN_VARIABLE} in the host's environment has the token" if wish.url and host.name != "vscode" else ""
    print(f"# {place}{token}", file=sys.stderr)  # noqa: T201 - beside the output, which goes into a file


def _read(path: Path) -> str:
    try:
        content = path.read_bytes() if path.exists() else b""
        if len(content) <= MAX_BYTES:
            return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"{home_path(str(path))} cannot be read: {_reason(error)}") from error
    raise InvalidArgumentError(f"{home_path(str(path))} is larger than any configuration")


def _put(path: Path, before: str, after: str, *, is_sure: bool) -> int:
    shown, where = console(), home_path(str(path))
    if after == before:
        shown.line(f"{where} says so already.")
        return 0
    for line in difflib.unified_diff(before.splitlines(), after.splitlines(), where, where, lineterm="", n=1):
        shown.line(printable(line), _STYLES.get(line[:1], Style.PLAIN))
    if not is_sure and not _agrees():
        shown.line("Nothing was written.")
        return 1
    if _read(path) != before:
        raise StateError(f"{where} was changed by somebody else meanwhile: nothing was written; call it again")
    _replace(path, after)
    shown.line(f"{where} is written. Restart the host, or have it read its servers again.")
    return 0


def _agrees() -> bool:
    if not sys.stdin.isatty():
        print("ws-mcp: nobody is there to agree: --yes writes without asking", file=sys.stderr)  # noqa: T201
        return False
    print("Write it? [y/N] ", end="", flush=True)  # noqa: T201
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _replace(path: Path, text: str) -> None:
    """With the rights that it had; where it is a link, what that leads to."""
    real = path.resolve()
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        replace_file(real, text, real.stat().st_mode & 0o777 if real.exists() else 0o600)
    except OSError as error:
        raise StateError(f"{home_path(str(path))} cannot be written: {_reason(error)}") from error


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "it is no text in UTF-8"
