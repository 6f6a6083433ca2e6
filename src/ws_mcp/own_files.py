"""The files and sockets of a server itself: no workspace gets one, and some have to lie apart from its roots."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.host.closed import identities_above, identity_of, is_named_closed
from ws_mcp.core.host.model import ROOT_FLAG
from ws_mcp.settings import Settings, tokens_of

if TYPE_CHECKING:  # a server on stdio does not load what HTTP needs
    from ws_mcp.edge.http_choices import HttpChoices

UNIX = "unix:"

log = logging.getLogger(__name__)


def own_files(settings: Settings, http: HttpChoices | None = None) -> tuple[Path, ...]:
    """All that were named, beside the state directory."""
    return (*_powers(settings, http).values(), *_others(settings, http).values())


def key_file(jwks: str) -> tuple[Path, ...]:
    """The file of an issuer's keys, unless they are fetched: who can write it can make tokens."""
    return (Path(jwks).absolute(),) if jwks and "://" not in jwks else ()


def check_apart(settings: Settings, http: HttpChoices | None, roots: Iterable[Path]) -> None:
    """That who is given what is below the roots does not get a server's own socket or tokens with it.

    Raises:
        InvalidArgumentError
    """
    state, roots = settings.state.expanduser().absolute(), tuple(roots)
    for flag, path in _powers(settings, http).items():
        if root := root_over(path, roots, state):
            raise InvalidArgumentError(
                f"{flag} {path} is below {root}, where workspaces may be given folders ({ROOT_FLAG}, or roots of a "
                f"grant): who has it can call this server as you. Put it elsewhere, as into {state}; or name others"
            )
    for flag, path in _others(settings, http).items():
        if root := root_over(path, roots, state):
            log.warning("%s %s is below the root %s: no workspace is given a folder that holds it", flag, path, root)


def root_over(path: Path, roots: Iterable[Path], state: Path) -> Path | None:
    """The root that a file is below; None where it is apart, or in what is closed as a whole."""
    return None if is_named_closed(os.path.realpath(path), (state,)) else _over(path, roots)


def state_over(settings: Settings, roots: Iterable[Path]) -> Path | None:
    """The root that the state directory is below."""
    return _over(settings.state.expanduser().absolute(), roots)


def exposed(settings: Settings, roots: Iterable[Path]) -> Mapping[str, Path]:
    """By their flags, the files that no server starts with."""
    state, roots = settings.state.expanduser().absolute(), tuple(roots)
    return {flag: path for flag, path in _powers(settings, None).items() if root_over(path, roots, state)}


def _over(path: Path, roots: Iterable[Path]) -> Path | None:
    """The root that a path is below, by its name or by inode."""
    real = os.path.realpath(path)
    above = identities_above(real)
    for root in roots:
        with suppress(OSError):
            if Path(real).is_relative_to(os.path.realpath(root)) or identity_of(root.stat()) in above:
                return root
    return None


def _powers(settings: Settings, http: HttpChoices | None) -> dict[str, Path]:
    """With which one can do what the server does."""
    metrics = settings.metrics.removeprefix(UNIX) if settings.metrics.startswith(UNIX) else ""
    said = {
        "--unix": http.unix if http else "",
        "--metrics": metrics,
        "--tokens": str(tokens_of(settings)) if settings.tokens else "",
    }
    return _named(said)


def _others(settings: Settings, http: HttpChoices | None) -> dict[str, Path]:
    keys = key_file(http.oauth.jwks) if http and http.oauth else ()
    said = {
        "--policy": str(settings.policy or ""),
        "--tls-key": http.tls_key if http else "",
        "--tls-cert": http.tls_cert if http else "",
        "--oauth-jwks": "".join(map(str, keys)),
    }
    return _named(said)


def _named(said: Mapping[str, str]) -> dict[str, Path]:
    return {flag: Path(path).absolute() for flag, path in said.items() if path}
