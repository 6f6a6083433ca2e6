"""Carries the SDK's requests over sockets and through ssh.

The SDK's own way leaves a socket open when it cannot connect, and needs paramiko for ssh; here `ssh` is a child whose
stdin and stdout are one socket on our side.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping

import requests
import requests.adapters
import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.response

from ws_mcp.core.engine.context import Endpoint, SshError, ssh_command, ssh_complaint


class _Connection(urllib3.connection.HTTPConnection):
    """One connection to the engine; with ssh it has a child of its own."""

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        super().__init__("engine", timeout=timeout_s)
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._child: subprocess.Popen[bytes] | None = None
        self._stderr: socket.socket | None = None
        self._complaint: SshError | None = None

    def connect(self) -> None:
        if self._endpoint.kind == "ssh":
            self.sock = self._start_ssh()
        else:
            self.sock = self._connected(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))

    def getresponse(self) -> urllib3.response.HTTPResponse:
        """The answer, or what `ssh` says instead."""
        try:
            return super().getresponse()
        except ConnectionError as error:
            self.close()
            if self._complaint is None:
                raise
            raise self._complaint from error

    def close(self) -> None:
        """End `ssh`, too; the base class calls it at the first failure."""
        super().close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None
        if self._stderr is not None:
            self._complaint = ssh_complaint(self._stderr)
            self._stderr.close()
            self._stderr = None

    def _connected(self, connecting: socket.socket) -> socket.socket:
        try:
            connecting.settimeout(self._timeout_s)
            connecting.connect(self._endpoint.path)
        except BaseException:
            connecting.close()
            raise
        return connecting

    def _start_ssh(self) -> socket.socket:
        ours, its = socket.socketpair()
        self._stderr, its_stderr = socket.socketpair()
        self._stderr.setblocking(False)
        ours.settimeout(self._timeout_s)
        try:
            with its, its_stderr:
                # A session of its own: an interrupt at the terminal is for us, not for ssh.
                self._child = subprocess.Popen(  # noqa: S603 - argv, its parts checked by the endpoint
                    ssh_command(self._endpoint),
                    stdin=its.fileno(),
                    stdout=its.fileno(),
                    stderr=its_stderr.fileno(),
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            self.close()
            raise
        return ours


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    def __init__(self, endpoint: Endpoint, timeout_s: float, size: int) -> None:
        super().__init__("engine", timeout=timeout_s, maxsize=size)
        self._endpoint = endpoint
        self._timeout_s = timeout_s

    # The stub wants a protocol whose attributes urllib3's own connection declares as final.
    def _new_conn(self) -> urllib3.connection.HTTPConnection:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Connection(self._endpoint, self._timeout_s)


class SocketAdapter(requests.adapters.HTTPAdapter):
    """Takes the place of the SDK's adapter for "http+docker"."""

    def __init__(self, endpoint: Endpoint, timeout_s: float, size: int) -> None:
        super().__init__()
        self._pool = _Pool(endpoint, timeout_s, size)

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,  # noqa: ARG002 - the base class names its parameters
        verify: bool | str | None,  # noqa: ARG002 - as above
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002 - as above
        cert: tuple[str, str] | str | None = None,  # noqa: ARG002 - as above
    ) -> urllib3.connectionpool.HTTPConnectionPool:
        """Every request goes through the one pool."""
        return self._pool

    def request_url(
        self,
        request: requests.PreparedRequest,
        proxies: Mapping[str, str] | None,  # noqa: ARG002 - as above
    ) -> str:
        """The path alone: a socket has no host."""
        return request.path_url

    def close(self) -> None:
        """Close every connection."""
        super().close()
        self._pool.close()
