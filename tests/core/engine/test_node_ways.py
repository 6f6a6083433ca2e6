"""How `--node` and `--node-tls` are read, and where they lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from ws_mcp.core.engine.node_ways import node_ways_of
from ws_mcp.core.engine.swarm_model import NodeId, SwarmNode
from ws_mcp.core.errors import EngineUnavailableError, InvalidArgumentError


def node(hostname: str, address: str = "192.0.2.7") -> SwarmNode:
    return SwarmNode(id=NodeId("n"), hostname=hostname, address=address, state="ready")


@pytest.mark.parametrize(
    ("hostname", "address", "endpoint"),
    [
        ("db-1", "192.0.2.7", "ssh://db-1"),
        ("edge", "192.0.2.8", "tcp://192.0.2.8:2375"),
        ("edge", "2001:db8::1", "tcp://[2001:db8::1]:2375"),
        ("gpu", "192.0.2.9", "unix:///run/gpu/docker.sock"),
        ("other", "192.0.2.9", "None"),
    ],
)
def test_the_first_pattern_that_matches_leads_to_a_node(hostname: str, address: str, endpoint: str) -> None:
    ways = node_ways_of(
        ["db-*=ssh://ops@{hostname}", "ed?e = tcp://{address}", "gpu=unix:///run/{hostname}/docker.sock", "gpu=/x"]
    )
    assert str(ways.endpoint(node(hostname, address))) == endpoint


def test_a_node_may_have_its_own_certificates(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    ways = node_ways_of(["*=tcp://{address}"], [f"db-*={tmp_path}"])
    secure, plain = ways.endpoint(node("db-1")), ways.endpoint(node("web-1"))
    assert secure is not None
    assert plain is not None
    assert (secure.kind, secure.port, secure.tls and secure.tls.ca) == ("tls", 2376, str(tmp_path / "ca.pem"))
    assert (plain.kind, plain.port) == ("tcp", 2375)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ssh://x", "write PATTERN=ENDPOINT"),
        ("=ssh://x", "write PATTERN=ENDPOINT"),
        ("x=", "write PATTERN=ENDPOINT"),
        ("x=ssh://{name}", "is nothing of a node"),
        ("x=ftp://{hostname}", "cannot be used"),
        ("x=tcp://{address}:port", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said_at_once(text: str, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        node_ways_of([text])
    with pytest.raises(InvalidArgumentError, match="write PATTERN=DIRECTORY"):
        node_ways_of([], [text.partition("=")[0]])


@pytest.mark.parametrize(
    ("hostname", "address"), [("../x", "192.0.2.1"), ("-oProxyCommand=x", "192.0.2.1"), ("x", ""), ("x", "a/b")]
)
def test_a_nodes_own_words_become_no_other_endpoint(hostname: str, address: str) -> None:
    ways = node_ways_of(["*=unix:///run/{hostname}/{address}"])
    with pytest.raises(EngineUnavailableError, match="cannot be part of an endpoint"):
        ways.endpoint(node(hostname, address))
