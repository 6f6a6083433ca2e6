"""Which engine: what was said, else DOCKER_HOST, else the docker context, else the first default socket that is there.

It reads the docker CLI's files itself: `docker.context` would import the whole SDK, and does not know DOCKER_CONTEXT.
Source: github.com/docker/cli, `cli/context/store` (the files) and `cli/command/cli.go` (who wins).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from ws_mcp.core.engine.record import Record
from ws_mcp.core.errors import EngineUnavailableError, InvalidArgumentError

HOW = "choose one with --engine, DOCKER_HOST or `docker context use`"
SSH_CONNECT_S = 8  # below the deadline of a call, so that the reason is ssh's own
MAX_COMPLAINT_BYTES = 2048  # that are read of it; the kernel keeps no more than a socket holds
_SSH_PART = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*")
_PORTS = {"tcp": 2375, "tls": 2376}


class SshError(ConnectionError):
    """`ssh` ended before the engine said a word; the text is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Who the engine has to be, and who we are; an empty path means: not given."""

    ca: str = ""
    certificate: str = ""
    key: str = ""
    verifies: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an engine is reached."""

    kind: str  # "unix" | "tcp" | "tls" | "ssh"
    origin: str  # who said so, for messages
    path: str = ""
    host: str = ""
    port: int = 0
    user: str = ""
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.kind == "ssh" and not self.port else f":{self.port}"
        return f"{'tcp' if self.kind == 'tls' else self.kind}://{host}{port}"


def resolve_endpoint(explicit: str, environment: Mapping[str, str]) -> Endpoint:
    """The engine to use; reads files, so it belongs into a worker thread.

    Raises:
        InvalidArgumentError: what was said is no endpoint.
        EngineUnavailableError: the context does not exist, or no default socket is there.
    """
    if explicit:
        return endpoint_of(explicit, "--engine", _tls_of_environment(environment))
    if environment.get("DOCKER_HOST"):
        return endpoint_of(environment["DOCKER_HOST"], "DOCKER_HOST", _tls_of_environment(environment))
    name = environment.get("DOCKER_CONTEXT") or docker_config(environment).text("currentContext")
    if name and name != "default":
        return _context(_docker_home(environment), name)
    return _default_socket(environment)


def docker_config(environment: Mapping[str, str]) -> Record:
    """The configuration of the docker CLI, with the contexts and logins of whoever runs us."""
    return _json(_docker_home(environment) / "config.json")


def _docker_home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("DOCKER_CONFIG") or Path(environment.get("HOME") or Path.home()) / ".docker")


def endpoint_of(text: str, origin: str, tls: TlsFiles | None) -> Endpoint:
    """An endpoint as the docker CLI writes it, or the bare path of a socket.

    Raises:
        InvalidArgumentError
    """
    if text.startswith("/"):
        return Endpoint(kind="unix", origin=origin, path=text)
    try:
        url = urlsplit(text)
        port = url.port or 0
    except ValueError as error:
        raise InvalidArgumentError(f"engine endpoint {text[:80]!r} (from {origin}) cannot be read: {error}") from error
    if url.scheme == "unix" and (url.netloc + url.path).startswith("/"):
        return Endpoint(kind="unix", origin=origin, path=url.netloc + url.path)
    if url.scheme == "ssh":
        return _ssh(url, port, origin)
    if url.scheme in ("tcp", "http", "https") and url.hostname:
        kind = "tls" if tls or url.scheme == "https" else "tcp"
        files = (tls or TlsFiles()) if kind == "tls" else None
        return Endpoint(kind=kind, origin=origin, host=url.hostname, port=port or _PORTS[kind], tls=files)
    raise InvalidArgumentError(
        f"engine endpoint {text[:80]!r} (from {origin}) cannot be used: unix:///path, tcp://host:port or ssh://user@host"
    )


def _ssh(url: SplitResult, port: int, origin: str) -> Endpoint:
    host, user = url.hostname or "", url.username or ""
    # Both become arguments of `ssh`; a path would have to be quoted for the shell on the far side.
    if not _SSH_PART.fullmatch(host) or (user and not _SSH_PART.fullmatch(user)) or url.path.strip("/") or url.password:
        raise InvalidArgumentError(
            f"engine endpoint (from {origin}) cannot be used: ssh://user@host or ssh://user@host:port"
        )
    return Endpoint(kind="ssh", origin=origin, host=host, port=port, user=user)


def ssh_command(endpoint: Endpoint) -> list[str]:
    """The child process whose stdin and stdout are a connection to the engine; it never asks a person anything."""
    options = ["-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={SSH_CONNECT_S}"]
    if endpoint.user:
        options += ["-l", endpoint.user]
    if endpoint.port:
        options += ["-p", str(endpoint.port)]
    return ["ssh", *options, "--", endpoint.host, "docker system dial-stdio"]


def ssh_complaint(its_stderr: socket.socket) -> SshError:
    """What `ssh` said on the far end of `its_stderr`, which must not block."""
    try:
        said = its_stderr.recv(MAX_COMPLAINT_BYTES).decode(errors="replace")
    except OSError:
        said = ""
    return SshError(
        said.strip().removeprefix("ssh: ") or "ssh ended without a word; is the docker CLI on the far side?"
    )


def _tls_of_environment(environment: Mapping[str, str]) -> TlsFiles | None:
    verifies = bool(environment.get("DOCKER_TLS_VERIFY"))
    if not verifies and not environment.get("DOCKER_TLS"):
        return None
    home = Path(environment.get("HOME") or Path.home())
    return tls_files(Path(environment.get("DOCKER_CERT_PATH") or home / ".docker"), verifies=verifies)


def tls_files(directory: Path, *, verifies: bool) -> TlsFiles:
    """What there is of ca.pem, cert.pem and key.pem, as the docker CLI names them; reads the directory."""

    def path(name: str) -> str:
        return str(directory / name) if (directory / name).is_file() else ""

    return TlsFiles(ca=path("ca.pem"), certificate=path("cert.pem"), key=path("key.pem"), verifies=verifies)


def _context(home: Path, name: str) -> Endpoint:
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = _json(home / "contexts" / "meta" / digest / "meta.json").record("Endpoints").record("docker")
    if not meta.text("Host"):
        raise EngineUnavailableError(f"the docker context {name[:80]!r} is not there or names no engine; {HOW}")
    files = tls_files(home / "contexts" / "tls" / digest / "docker", verifies=not meta.flag("SkipTLSVerify"))
    is_tls = bool(files.ca or files.certificate)
    return endpoint_of(meta.text("Host"), f"docker context {name!r}", files if is_tls else None)


def _default_socket(environment: Mapping[str, str]) -> Endpoint:
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    home = environment.get("HOME") or str(Path.home())
    candidates = (
        "/var/run/docker.sock",
        f"{runtime}/docker.sock",
        f"{home}/.docker/run/docker.sock",
        f"{runtime}/podman/podman.sock",
        "/run/podman/podman.sock",
    )
    there = [path for path in candidates if Path(path).is_socket()]
    usable = [path for path in there if os.access(path, os.R_OK | os.W_OK)]
    for path in (*usable, *there):
        return Endpoint(kind="unix", origin="the default", path=path)
    raise EngineUnavailableError(f"no container engine was found on this machine: start Docker or Podman, or {HOW}")


def _json(path: Path) -> Record:
    try:
        return Record(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        # The docker CLI goes on without a file that it cannot read, too.
        return Record(None)
