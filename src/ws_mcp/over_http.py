"""Composition for HTTP: the same server, and whose word says who asks."""

from __future__ import annotations

import hmac
import logging
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from ws_mcp.auth import flags_of, oauth_of, tokens_path
from ws_mcp.console import home_path
from ws_mcp.core.clock import utc_now
from ws_mcp.core.errors import StateError
from ws_mcp.core.ids import READ, WRITE
from ws_mcp.core.policy.auth import Auth
from ws_mcp.core.policy.tokens import TokenRecord, digest_of
from ws_mcp.core.replacing import replace_file
from ws_mcp.doors import choices_of, given_roots, limits_now, open_core_of, open_doors, policy_in_force
from ws_mcp.edge.bearer import Bearers, token_principal, token_stands
from ws_mcp.edge.http_choices import PATH, HttpChoices
from ws_mcp.edge.http_serving import authentication, serve_http
from ws_mcp.edge.identity import always_stands, local_principal
from ws_mcp.edge.oauth import IssuedTokens
from ws_mcp.edge.serve import end, open_stop
from ws_mcp.edge.token_file import TokenFile, new_token
from ws_mcp.oversight import open_oversight
from ws_mcp.own_files import check_apart
from ws_mcp.server import build_server
from ws_mcp.settings import Settings

OWN = "http-token"
OPERATOR = "operator"

log = logging.getLogger(__name__)


async def run_http(settings: Settings, choices: HttpChoices, flags: Auth) -> None:
    """Serve over streamable HTTP; leaves the process when it was asked to.

    `flags`: whom to believe besides the tokens file, unless the policy says it.
    """
    policy = policy_in_force(settings, "http", flags_of(settings, flags), choices)
    auth = policy.policy.auth
    file, choices = TokenFile(tokens_path(settings, auth)), replace(choices, oauth=oauth_of(auth))
    if choices.unix and auth.said:
        log.warning("tokens count for nothing at a unix socket, also those of [auth]: who may connect is its user")
    check_apart(settings, choices, given_roots(settings, policy))
    async with open_stop(policy.reload if settings.policy else None) as stop:
        limits = limits_now(settings, policy, "http")
        told = choices_of(settings, policy, limits, choices, may_stand_in=True)
        async with open_doors(settings) as doors, open_core_of(told, doors) as core:
            by, check, said = None, None, ""
            if not choices.unix:
                said = "" if choices.oauth else first_token(file, told.state / OWN)
                issued = IssuedTokens(choices.oauth) if choices.oauth else None
                bearers = Bearers(file, issued, choices.oauth.resource if choices.oauth else "")
                by, check = authentication(choices, bearers), bearers.admits
            try:
                async with open_oversight(settings, core, "http", policy, limits, check=check) as guards:
                    server = build_server(
                        core,
                        default_hint=None,
                        principal_of=token_principal if by else local_principal,
                        standing=token_stands if by else always_stands,
                        changes=core.changes,
                        guards=guards,
                        chat_header=settings.chat_header,
                        policy=policy,
                        seal=hmac.digest(core.state.instance.key, b"what clients bring back", "sha256"),
                    )
                    assert guards.hold_stream is not None
                    ready, hold_stream = partial(_announce, said), guards.hold_stream
                    code = await serve_http(server, stop, choices, by, ready, hold_stream=hold_stream)
            finally:
                await core.end_local()
        end(code)


def first_token(file: TokenFile, own: Path) -> str:
    """Make a token where there is none, so that nobody is ever served without; returns where the one of ours is.

    Raises:
        StateError
    """
    try:
        with file.changing() as write:
            records = file.records()
            if own.exists() and file.principal_of(own.read_text(errors="replace").strip()):
                return str(own)
            if file.has_any():
                return ""
            token = new_token()
            kept = tuple(record for record in records if record.name != OWN)
            made = TokenRecord(
                name=OWN, principal=OPERATOR, scopes=(READ, WRITE), sha256=digest_of(token), created_at=utc_now()
            )
            replace_file(own, token + "\n")
            write((*kept, made))
    except OSError as error:
        raise StateError(f"the token in {own} cannot be read or made ({error.strerror})") from error
    return str(own)


def _announce(token: str, address: str) -> None:
    print(f"ws-mcp serves {address}", file=sys.stderr, flush=True)  # noqa: T201 - for the person who started it
    if token:
        print(f"ws-mcp: its token is in {home_path(token)}", file=sys.stderr, flush=True)  # noqa: T201 - as above
    if address.endswith(PATH):
        print(f"ws-mcp: a page for people is at {address.removesuffix(PATH)}/", file=sys.stderr, flush=True)  # noqa: T201
