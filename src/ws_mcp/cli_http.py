"""The flags of `ws-mcp http` and `ws-mcp token`, and what they come to."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from typing import Literal, cast

from ws_mcp.core.policy.auth import Auth, Naming
from ws_mcp.edge.http_choices import HttpChoices


def add_http_flags(parser: ArgumentParser) -> None:
    """Where to listen, and whom to believe."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8811, help="port to listen on (default %(default)s)")
    parser.add_argument(
        "--unix", default="", metavar="PATH", help="a socket instead, for your own user, without a token"
    )
    parser.add_argument("--tls-cert", default="", metavar="FILE", help="certificate chain; needed beyond this machine")
    parser.add_argument("--tls-key", default="", metavar="FILE", help="its key")
    parser.add_argument("--behind-proxy", action="store_true", help="a proxy before this server does TLS")
    parser.add_argument(
        "--allowed-host", action="append", default=[], metavar="NAME", help="a name that clients call this server by"
    )
    parser.add_argument("--oauth-issuer", default="", metavar="URL", help="believe the tokens of this issuer, too")
    parser.add_argument("--oauth-jwks", default="", metavar="URL|FILE", help="the issuer's keys")
    parser.add_argument(
        "--oauth-resource", default="", metavar="URL", help="the address that clients know this server by"
    )
    parser.add_argument(
        "--oauth-audience", default="", metavar="TEXT", help="what its tokens are for (default: the same)"
    )
    parser.add_argument(
        "--oauth-principal", default="", choices=["hash", "subject"], help="who somebody is (default: hash)"
    )


def http_choices_of(options: Mapping[str, object]) -> HttpChoices:
    """Where to listen, as the flags say.

    Raises:
        InvalidArgumentError: they do not go together.
    """
    return HttpChoices(
        host=str(options["host"]),
        port=int(str(options["port"])),
        unix=str(options["unix"]),
        tls_cert=str(options["tls_cert"]),
        tls_key=str(options["tls_key"]),
        is_behind_proxy=bool(options["behind_proxy"]),
        allowed_hosts=tuple(cast("list[str]", options["allowed_host"])),
    )


def auth_of(options: Mapping[str, object]) -> Auth:
    """Whom to believe besides the tokens file, as the flags say."""
    return Auth(
        issuer=str(options["oauth_issuer"]),
        jwks=str(options["oauth_jwks"]),
        resource=str(options["oauth_resource"]),
        audience=str(options["oauth_audience"]),
        principal=cast("Naming | Literal['']", options["oauth_principal"]),
    )


def add_create_flags(parser: ArgumentParser, seconds: Callable[[str], int]) -> None:
    """Whose token, and for what."""
    parser.add_argument("principal", help="who its bearer is: each principal has chats of its own")
    parser.add_argument("--name", default="", help="what revoke calls it (default: the principal, or with a number)")
    parser.add_argument("--for-reading", action="store_true", help="only for tools that change nothing")
    parser.add_argument("--expires", type=seconds, metavar="AGE", help="12h or 90d from now (default: it does not)")
    parser.add_argument("--chat", default="", metavar="NAME", help="only for the principal's chat of this name")
