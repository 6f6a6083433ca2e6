"""`ws-mcp health`: asks a running server whether it is fit to serve, as the health check of a container does."""

from __future__ import annotations

import socket
from http.client import HTTPConnection, HTTPException

from ws_mcp.console import home_path
from ws_mcp.core.errors import InvalidArgumentError, StateError
from ws_mcp.own_files import UNIX
from ws_mcp.settings import Settings

ANSWER_S = 5.0


class _Connection(HTTPConnection):
    """To a unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_S)
        self.sock.connect(self.host)


def health(settings: Settings) -> int:
    """Print what the server at the socket of `--metrics` says of itself; 1: it should get no new calls.

    Raises:
        InvalidArgumentError: it is not said which server.
        StateError: none answers there.
    """
    if not settings.metrics.startswith(UNIX):
        raise InvalidArgumentError(
            "health is asked for at a socket: start the server with --metrics unix:/PATH, and say the same here"
        )
    path = settings.metrics.removeprefix(UNIX)
    connection = _Connection("localhost")
    connection.host = path
    try:
        connection.request("GET", "/readyz", headers={"Host": "localhost"})
        answer = connection.getresponse()
        print(answer.read().decode().strip())  # noqa: T201 - what was asked for
    except (OSError, HTTPException) as error:
        raise StateError(f"no server answers at {home_path(path)} ({error or type(error).__name__})") from error
    finally:
        connection.close()
    return 0 if answer.status == 200 else 1
