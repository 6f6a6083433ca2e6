"""Whose tokens are good over HTTP: what the policy file says of it, and what flags and variables fill in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.policy.auth import FLAGS, NEEDED, Auth, agreed
from ws_mcp.core.policy.file import read_policy
from ws_mcp.core.policy.model import Policy
from ws_mcp.edge.http_choices import OAuth
from ws_mcp.settings import Settings, tokens_of

NOTHING = Auth()


def flags_of(settings: Settings, server: Auth = NOTHING) -> Auth:
    """What flags and variables say. `server`: what those of `ws-mcp http` say of an authorization server."""
    return replace(server, tokens_file=str(tokens_of(settings)) if settings.tokens else "")


def policy_with(settings: Settings, file: Path, flags: Auth) -> Policy:
    """The policy that a file and the flags of a server over HTTP make together.

    Raises:
        PolicyError: the file cannot be used, or they contradict each other.
    """
    policy = read_policy(file, settings.root)
    return replace(policy, auth=agreed(policy.auth, flags))


def tokens_path(settings: Settings, auth: Auth) -> Path:
    """Where our own tokens are."""
    return Path(auth.tokens_file) if auth.tokens_file else tokens_of(settings)


def tokens_in_force(settings: Settings) -> Path:
    """Where our own tokens are, for who changes them.

    Raises:
        PolicyError: there is a policy file, and it cannot be used.
    """
    flags = flags_of(settings)
    return tokens_path(settings, policy_with(settings, settings.policy, flags).auth if settings.policy else flags)


def oauth_of(auth: Auth) -> OAuth | None:
    """The authorization server whose tokens are believed, if any.

    Raises:
        InvalidArgumentError: something is missing, or no address.
    """
    if auth.missing:
        flags = [FLAGS[key] for key in NEEDED]
        raise InvalidArgumentError(
            f"{', '.join(flags[:-1])} and {flags[-1]} go together: give all three, or write them under [auth] in the "
            f"policy file; missing: {', '.join(auth.missing)}"
        )
    if not auth.issuer:
        return None
    return OAuth(
        issuer=auth.issuer,
        jwks=auth.jwks,
        resource=auth.resource,
        audience=auth.audience or auth.resource,
        principal=auth.principal or "hash",
    )
