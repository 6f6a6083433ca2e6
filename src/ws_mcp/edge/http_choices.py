"""What an operator says about serving over HTTP: where, to whom, by whose word (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.policy.auth import Naming, is_loopback, is_web

PATH = "/mcp"
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth:
    """Whose tokens are believed, besides those of the tokens file.

    `jwks`: URL or file of the issuer's keys; `resource`: the address of this server as its clients know it; `audience`:
    what its tokens are for; `principal`: somebody is the hash of issuer, client and subject, or the subject alone.
    """

    issuer: str
    jwks: str
    resource: str
    audience: str
    principal: Naming = "hash"

    def __post_init__(self) -> None:
        """Raises InvalidArgumentError."""
        for what, url in (("--oauth-issuer", self.issuer), ("--oauth-resource", self.resource)):
            if not is_web(url):
                raise InvalidArgumentError(f"{what} {url!r} is no https address (http only on this machine)")
        if "://" in self.jwks and not is_web(self.jwks):
            raise InvalidArgumentError(f"--oauth-jwks {self.jwks!r} is neither an https address nor a file")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpChoices:
    """Where HTTP is served, and under which names. `unix`: at this socket instead, to the same user only."""

    host: str = "127.0.0.1"
    port: int = 8811
    unix: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    is_behind_proxy: bool = False
    allowed_hosts: tuple[str, ...] = ()
    oauth: OAuth | None = None

    def __post_init__(self) -> None:
        """Raises InvalidArgumentError."""
        if bool(self.tls_cert) != bool(self.tls_key):
            raise InvalidArgumentError("--tls-cert and --tls-key go together: give both, or none")
        for name in self.allowed_hosts:
            if not _NAME.fullmatch(name):
                raise InvalidArgumentError(f"--allowed-host {name!r} is no host name, with or without a port")
        if self.unix:
            return
        if not 0 <= self.port <= 65535:
            raise InvalidArgumentError(f"port {self.port} is none: 0 (any free one) to 65535")
        if not is_loopback(self.host):
            self._check_reachable()

    def _check_reachable(self) -> None:
        if not (self.tls_cert or self.is_behind_proxy):
            raise InvalidArgumentError(
                f"ws-mcp does not listen on {self.host!r} without TLS: tokens would be readable on the way. Give "
                "--tls-cert and --tls-key; or --behind-proxy if a proxy before it does TLS; or stay on 127.0.0.1"
            )
        if not self.allowed_hosts:
            raise InvalidArgumentError(
                f"to listen on {self.host!r} say which names clients call it by: --allowed-host ws.example.org"
            )

    @property
    def scheme(self) -> str:
        """How its addresses begin."""
        return "https" if self.tls_cert else "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names that a request may call this server by, and the origins of pages that may ask it."""

    hosts: frozenset[tuple[str, str]]
    origins: frozenset[str]

    def has_host(self, text: str) -> bool:
        """Whether a Host header is one of ours, to the letter; one of ours without a port is so at any port."""
        found = _NAME.fullmatch(text)
        if found is None:
            return False
        name, port = found[1], found[2] or ""
        return (name, port) in self.hosts or (name, "") in self.hosts


def names_of(choices: HttpChoices, port: int) -> Names:
    """The names of a server that listens on a port; 0: on a socket."""
    own = f"[{choices.host}]" if ":" in choices.host else choices.host.lower()
    local = {*LOCAL_NAMES, own} if not choices.unix and is_loopback(choices.host) else set(LOCAL_NAMES)
    given = [_NAME.fullmatch(name) for name in choices.allowed_hosts]
    more = {(found[1].lower(), found[2] or "") for found in given if found}
    shown = {f"{name}:{p}" if p else name for name, p in more}
    schemes = ("http", "https") if choices.is_behind_proxy or choices.unix else (choices.scheme,)
    origins = {f"{scheme}://{name}" for scheme in schemes for name in shown}
    if port:
        origins |= {f"{choices.scheme}://{name}:{port}" for name in (*local, *(name for name, p in more if not p))}
    return Names(hosts=frozenset({(name, "") for name in local} | more), origins=frozenset(origins))
