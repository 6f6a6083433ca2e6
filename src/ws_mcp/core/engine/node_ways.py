"""How the engines of a swarm's nodes are reached: what the operator said with `--node` and `--node-tls`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ws_mcp.core.engine.context import Endpoint, endpoint_of, tls_files
from ws_mcp.core.engine.swarm_model import SwarmNode
from ws_mcp.core.errors import EngineUnavailableError, InvalidArgumentError

ORIGIN = "--node"
_FIELD = re.compile(r"\{([^{}]*)\}")
_FIELDS = ("hostname", "address")
_HOSTNAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*")  # what may become part of an endpoint
_ADDRESS = re.compile(r"[0-9a-fA-F.:]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWay:
    """Nodes whose host names match `pattern` (as the shell matches names) are reached at `endpoint`."""

    pattern: str
    endpoint: str  # with {hostname} and {address} in it


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTls:
    """What is shown to nodes whose host names match: ca.pem, cert.pem and key.pem of `directory`."""

    pattern: str
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWays:
    """All that was said; the first pattern that matches counts."""

    ways: tuple[NodeWay, ...] = ()
    tls: tuple[NodeTls, ...] = ()

    def endpoint(self, node: SwarmNode) -> Endpoint | None:
        """Where a node's engine is, None if nobody said; looks for TLS files, so it belongs into a worker thread.

        Raises:
            EngineUnavailableError: its host name or address cannot be part of an endpoint.
        """
        way = next((way for way in self.ways if fnmatchcase(node.hostname, way.pattern)), None)
        if way is None:
            return None
        directory = next((each.directory for each in self.tls if fnmatchcase(node.hostname, each.pattern)), "")
        files = tls_files(Path(directory), verifies=True) if directory else None
        try:
            return endpoint_of(_filled(way.endpoint, node.hostname, node.address), ORIGIN, files)
        except InvalidArgumentError as error:
            raise EngineUnavailableError(f"node {node.hostname!r} cannot be reached: {error}") from error


def node_ways_of(ways: Iterable[str], tls: Iterable[str] = ()) -> NodeWays:
    """From the values of `--node` (PATTERN=ENDPOINT) and `--node-tls` (PATTERN=DIRECTORY).

    Raises:
        InvalidArgumentError
    """
    return NodeWays(ways=tuple(_way_of(text) for text in ways), tls=tuple(_tls_of(text) for text in tls))


def _way_of(text: str) -> NodeWay:
    pattern, endpoint = _halves(text, ORIGIN, "PATTERN=ENDPOINT, for example 'worker-*=ssh://{hostname}'")
    for name in _FIELD.findall(endpoint):
        if name not in _FIELDS:
            known = "{hostname} or {address}"
            raise InvalidArgumentError(f"{ORIGIN} {text[:80]!r}: {{{name}}} is nothing of a node; write {known}")
    # Each node has its own; this says now what would be wrong with all of them.
    endpoint_of(_filled(endpoint, "node-1", "192.0.2.1"), ORIGIN, None)
    return NodeWay(pattern=pattern, endpoint=endpoint)


def _tls_of(text: str) -> NodeTls:
    pattern, directory = _halves(text, "--node-tls", "PATTERN=DIRECTORY, which holds ca.pem, cert.pem and key.pem")
    return NodeTls(pattern=pattern, directory=directory)


def _halves(text: str, option: str, form: str) -> tuple[str, str]:
    pattern, _, value = (part.strip() for part in text.partition("="))
    if not pattern or not value:
        raise InvalidArgumentError(f"{option} {text[:80]!r} cannot be read: write {form}")
    return pattern, value


def _filled(endpoint: str, hostname: str, address: str) -> str:
    for name, value, form in (("hostname", hostname, _HOSTNAME), ("address", address, _ADDRESS)):
        if f"{{{name}}}" in endpoint and form.fullmatch(value) is None:
            raise InvalidArgumentError(f"its {name} {value[:80]!r} cannot be part of an endpoint")
    is_bracketed = ":" in address and not endpoint.startswith("unix:")
    return endpoint.replace("{hostname}", hostname).replace("{address}", f"[{address}]" if is_bracketed else address)
