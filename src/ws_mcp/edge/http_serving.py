"""Serving over streamable HTTP: the layers of the application in their order, and uvicorn below them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import anyio
from mcp.server import MCPServer
from mcp.server.auth.middleware.bearer_auth import RequireAuthMiddleware
from mcp.server.auth.routes import build_resource_metadata_url
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import RequestBodyLimitMiddleware, TransportSecuritySettings
from pydantic import AnyHttpUrl
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config, Server

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import READ
from ws_mcp.edge.bearer import Bearers
from ws_mcp.edge.guards import HoldStream
from ws_mcp.edge.http_bodies import Bodies
from ws_mcp.edge.http_choices import PATH, HttpChoices, Names, names_of
from ws_mcp.edge.http_door import Door
from ws_mcp.edge.http_ending import Ending
from ws_mcp.edge.http_listening import listening
from ws_mcp.edge.http_page import Page
from ws_mcp.edge.http_protocol import IDLE_S, BoundedProtocol
from ws_mcp.edge.http_sessions import MOST, Sessions
from ws_mcp.edge.http_streams import Streams
from ws_mcp.edge.messages import MAX_BYTES
from ws_mcp.edge.serve import Stop, fault_seen

METADATA = "/.well-known/oauth-protected-resource"
END_S = 2.0  # how long open calls and streams may go on after serving was asked to end
CUT_S = 4  # when uvicorn cuts what has not ended by then; it takes whole seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """Whose word counts: `settings` for the SDK, `bearers` to verify a token."""

    settings: AuthSettings
    bearers: Bearers


def authentication(choices: HttpChoices, bearers: Bearers) -> Authentication:
    """By tokens of the file alone, or of an issuer as well, who is then told to clients that come without."""
    oauth = choices.oauth
    settings = AuthSettings(
        issuer_url=AnyHttpUrl(oauth.issuer if oauth else "http://localhost"),  # not told to anybody without OAuth
        resource_server_url=AnyHttpUrl(oauth.resource) if oauth else None,
        required_scopes=[READ],
        validate_token_resource=oauth is not None,
    )
    return Authentication(settings=settings, bearers=bearers)


async def serve_http(
    server: MCPServer,
    stop: Stop,
    choices: HttpChoices,
    by: Authentication | None,
    ready: Callable[[str], None] = lambda _: None,
    *,
    hold_stream: HoldStream = lambda _: nullcontext(),
) -> int:
    """Serve until `stop` is asked; returns the exit code. `ready` is told the address.

    `hold_stream` bounds the streams of each principal, of both eras.

    `by` is None on a unix socket only: who may connect there is who the server runs as.

    Raises:
        InvalidArgumentError: the address is taken, or none; the certificate cannot be used.
    """
    assert by or choices.unix
    with fault_seen(stop), listening(choices) as listener:
        port = 0 if choices.unix else int(listener.getsockname()[1])
        ending = Ending(_application(server, names_of(choices, port), by, hold_stream))
        http = _http_server(ending, choices)
        async with anyio.create_task_group() as tasks:

            async def serve() -> None:
                await http.serve(sockets=[listener])
                stop.ask()
                tasks.cancel_scope.cancel()

            tasks.start_soon(serve)
            ready(_address(choices, port))
            await stop.wait()
            http.should_exit = True
            await ending.end(END_S)
    return stop.code


def _address(choices: HttpChoices, port: int) -> str:
    host = f"[{choices.host}]" if ":" in choices.host else choices.host
    return f"unix:{choices.unix}" if choices.unix else f"{choices.scheme}://{host}:{port}{PATH}"


def _application(server: MCPServer, names: Names, by: Authentication | None, hold_stream: HoldStream) -> ASGIApp:
    # MCPServer takes these only when it is made, where nobody knows yet how it will be served.
    inner = server._lowlevel_server  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # mcp>=2.3,<2.4
    app = inner.streamable_http_app(
        streamable_http_path=PATH,
        # The door checks both before; the SDK, by patterns of its own, once more.
        transport_security=TransportSecuritySettings(
            allowed_hosts=[host for name, port in names.hosts for host in _patterns(name, port)],
            allowed_origins=sorted(names.origins),
        ),
        max_sessions=MOST,
        max_request_body_size=MAX_BYTES,
        auth=by.settings if by else None,
        token_verifier=by.bearers if by else None,
    )
    # Innermost, so behind the SDK's authentication.
    if by is not None:
        app.user_middleware.append(Middleware(_Everywhere, by.settings))
    # There is no public way to see which sessions have ended.
    sessions = inner.session_manager._server_instances  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # as above
    app.user_middleware += [
        Middleware(Sessions, sessions.keys),
        Middleware(Streams, hold_stream),
        Middleware(RequestBodyLimitMiddleware, max_body_size=MAX_BYTES),
        Middleware(Bodies),
    ]
    return Door(Page(app), names)


def _patterns(name: str, port: str) -> tuple[str, ...]:
    return (f"{name}:{port}",) if port else (name, f"{name}:*")


class _Everywhere:
    """Asks for a token on every path, also on those that are none; only the way to get one is told without."""

    def __init__(self, app: ASGIApp, settings: AuthSettings) -> None:
        url = settings.resource_server_url
        self._app = app
        self._required = RequireAuthMiddleware(
            app, settings.required_scopes or [], build_resource_metadata_url(url) if url else None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] != "http" or scope["path"].startswith(METADATA)
        await (self._app if is_open else self._required)(scope, receive, send)


def _http_server(app: ASGIApp, choices: HttpChoices) -> Server:
    config = Config(
        app,
        http=BoundedProtocol,
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # nothing that a proxy says about the client is used
        lifespan="on",
        ws="none",
        server_header=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=CUT_S,
        ssl_certfile=choices.tls_cert or None,
        ssl_keyfile=choices.tls_key or None,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgumentError(f"the certificate or its key cannot be used: {error.strerror or error}") from error
    return _Quiet(config)


class _Quiet(Server):
    """Takes no signals: they are `Stop`'s."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
