"""An image registry of the tests' own: engines take what is on 127.0.0.0/8 without TLS.

Source: the OCI Distribution Specification 1.1, "Pull"; manifests in Docker's form, which all engines read.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import select
import socket
import threading
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

import anyio
import anyio.to_thread

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
USER, PASSWORD = "reader", "of-tests"
POLL_S = 0.05


class Held(Protocol):
    """What a test may wait for while a registry holds what it has."""

    async def asked(self) -> None:
        """An engine asks for a layer."""
        ...

    async def left(self) -> None:
        """The engine that asked has gone away."""
        ...


class Registry(Protocol):
    """What a contract says about the registry behind an engine."""

    @property
    def host(self) -> str:
        """Where it is, as image names begin."""
        ...

    def publish(self, name: str, tar: bytes, platforms: tuple[str, ...] = ("linux/amd64",)) -> str:
        """Put an image under a name (repository:tag), whatever had it before; returns its digest."""
        ...

    def hold(self) -> AbstractContextManager[Held]:
        """Deliver no layer inside the block."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Content and its type."""

    kind: str
    content: bytes

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"


class RealRegistry:
    """A registry in a thread of this process; made by `open_registry`."""

    def __init__(self) -> None:
        self.manifests: dict[tuple[str, str], Blob] = {}  # by repository, and tag or digest
        self.blobs: dict[str, Blob] = {}
        self.wants_login = False
        self.open = threading.Event()
        self.open.set()
        self.waiting = threading.Event()
        self.gone = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.server.daemon_threads = True

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def publish(self, name: str, tar: bytes, platforms: tuple[str, ...] = ("linux/amd64",)) -> str:
        repository, _, tag = name.partition(":")
        layer = self._keep(LAYER, gzip.compress(tar, mtime=0))
        made = [(platform, self._manifest(tar, layer, platform)) for platform in platforms]
        for _, manifest in made:
            self.manifests[repository, manifest.digest] = manifest
        top = made[0][1] if len(made) == 1 else _list_of(made)
        self.manifests[repository, tag] = self.manifests[repository, top.digest] = top
        return top.digest

    @contextmanager
    def hold(self) -> Generator[Held]:
        self.waiting.clear()
        self.gone.clear()
        self.open.clear()
        try:
            yield _Held(self)
        finally:
            self.open.set()

    def _manifest(self, tar: bytes, layer: Blob, platform: str) -> Blob:
        system, _, architecture = platform.partition("/")
        config = {
            "architecture": architecture,
            "os": system,
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "the tests"}],
        }
        kept = self._keep(CONFIG, json.dumps(config).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _described(kept),
            "layers": [_described(layer)],
        }
        return Blob(kind=MANIFEST, content=json.dumps(manifest).encode())

    def _keep(self, kind: str, content: bytes) -> Blob:
        blob = Blob(kind=kind, content=content)
        self.blobs[blob.digest] = blob
        return blob


class _Held:
    def __init__(self, registry: RealRegistry) -> None:
        self._registry = registry

    async def asked(self) -> None:
        await _set(self._registry.waiting)

    async def left(self) -> None:
        await _set(self._registry.gone)


async def _set(event: threading.Event) -> None:
    while not event.is_set():
        await anyio.to_thread.run_sync(event.wait, POLL_S)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, registry: RealRegistry, *arguments: object) -> None:
        self._registry = registry
        super().__init__(*arguments)  # pyright: ignore[reportArgumentType] - as the server hands them over

    def do_GET(self) -> None:
        if self._is_refused():
            self._answer(401, "application/json", _error("UNAUTHORIZED"))
        elif self.path == "/v2/":
            self._answer(200, "application/json", b"{}")
        elif (found := self._found()) is None:
            self._answer(404, "application/json", _error("MANIFEST_UNKNOWN"))
        else:
            self._answer(200, found.kind, found.content, found.digest)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Nobody reads it."""

    def _is_refused(self) -> bool:
        if not self._registry.wants_login:
            return False
        secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return self.headers.get("Authorization") != f"Basic {secret}"

    def _found(self) -> Blob | None:
        words = self.path.split("?")[0].removeprefix("/v2/").rsplit("/", 2)
        if len(words) < 3:
            return None
        repository, kind, name = words
        if kind == "manifests":
            return self._registry.manifests.get((repository, name))
        return self._registry.blobs.get(name)

    def _drip(self, content: bytes) -> int:
        """Deliver a byte now and then, until the registry is open; returns how many."""
        sent = 0
        self._registry.waiting.set()
        while not self._registry.open.wait(POLL_S):
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                self._registry.gone.set()
                raise BrokenPipeError
            # Docker sees that it is to stop when something comes, and not before.
            sent += self.wfile.write(content[sent : sent + 1])
        return sent

    def _answer(self, status: int, kind: str, content: bytes, digest: str = "") -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            if digest:
                self.send_header("Docker-Content-Digest", digest)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="tests"')
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[self._drip(content) if kind == LAYER else 0 :])
        except OSError:
            # The engine went away, as it does when its own client does.
            self.close_connection = True


def _described(blob: Blob) -> dict[str, object]:
    return {"mediaType": blob.kind, "size": len(blob.content), "digest": blob.digest}


def _list_of(made: list[tuple[str, Blob]]) -> Blob:
    def entry(platform: str, manifest: Blob) -> dict[str, object]:
        system, _, architecture = platform.partition("/")
        return {**_described(manifest), "platform": {"os": system, "architecture": architecture}}

    content = {"schemaVersion": 2, "mediaType": LIST, "manifests": [entry(*each) for each in made]}
    return Blob(kind=LIST, content=json.dumps(content).encode())


def _error(code: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}).encode()


@contextmanager
def open_registry() -> Generator[RealRegistry]:
    """A registry that serves inside the block."""
    registry = RealRegistry()
    thread = threading.Thread(target=registry.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield registry
    finally:
        registry.open.set()
        registry.server.shutdown()
        registry.server.server_close()
        thread.join()
