"""Whose tokens are good over HTTP, as the policy file and the flags say it together (pure)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from ws_mcp.core.errors import PolicyError

Naming = Literal["hash", "subject"]
"""Who somebody with an issuer's token is: the hash of issuer, client and subject, or the subject alone."""
FLAGS = {
    "tokens_file": "--tokens",
    "issuer": "--oauth-issuer",
    "jwks": "--oauth-jwks",
    "resource": "--oauth-resource",
    "audience": "--oauth-audience",
    "principal": "--oauth-principal",
}
NEEDED = ("issuer", "jwks", "resource")


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """What one place says; "" where it says nothing.

    `tokens_file`: where our own tokens are. The rest is about an authorization server whose tokens are believed, too:
    `jwks` is the address or the file of its keys, `resource` the address that clients know this server by, `audience`
    what its tokens are for, if not for that.
    """

    tokens_file: str = ""
    issuer: str = ""
    jwks: str = ""
    resource: str = ""
    audience: str = ""
    principal: Naming | Literal[""] = ""

    @property
    def said(self) -> dict[str, str]:
        """What is said, by key."""
        return {each.name: getattr(self, each.name) for each in fields(Auth) if getattr(self, each.name)}

    @property
    def keys_file(self) -> str:
        """The file of the issuer's keys; "" where they are fetched, or there are none."""
        return "" if "://" in self.jwks else self.jwks

    @property
    def missing(self) -> tuple[str, ...]:
        """What an authorization server lacks, of which something is said."""
        is_meant = bool(self.said.keys() - {"tokens_file"})
        return tuple(key for key in NEEDED if is_meant and key not in self.said)


def agreed(file: Auth, flags: Auth) -> Auth:
    """What both say together: flags say the same, or fill in what the file leaves out.

    Raises:
        PolicyError: they contradict each other.
    """
    both = file.said.keys() & flags.said.keys()
    problems = [
        f"{FLAGS[key]} (a flag or a variable) says {flags.said[key]!r}, and {key} under [auth] in the policy file says "
        f"{file.said[key]!r}: leave one of them out"
        for key in FLAGS
        if key in both and file.said[key] != flags.said[key]
    ]
    if problems:
        raise PolicyError(problems)
    return Auth(**{**flags.said, **file.said})  # pyright: ignore[reportArgumentType]  # of two of them


def differing(one: Auth, other: Auth) -> tuple[str, ...]:
    """The keys that do not say the same."""
    return tuple(key for key in FLAGS if one.said.get(key) != other.said.get(key))


def is_web(url: str) -> bool:
    """Whether it is an address that may be believed: https, or http on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
