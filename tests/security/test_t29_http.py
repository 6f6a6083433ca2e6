"""T29 over HTTP: one request, whatever is in it, stops the server for nobody; no grant is needed to send one."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress

import pytest
from support.hostile import HUGE, MESSAGES, WRONG_CALLS, bounded, in_the_newer_era
from support.http_ground import HELLO, Reply, ask, modern, modern_headers, record_for, token_for, write_tokens
from support.serving_child import ServingChild, open_child_http

ERAS = ("legacy", "modern")
SAME = [name for name in MESSAGES if name != HUGE]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[ServingChild]:
    tokens = tmp_path_factory.mktemp("t29") / "tokens"
    with open_child_http(f"tokens={write_tokens(tokens, record_for('alice'), record_for('mallory'))}") as child:
        yield child


@pytest.fixture(scope="module")
def session(server: ServingChild) -> str:
    """Of the older era."""
    return ask(server.url, HELLO, token=token_for("mallory")).headers["mcp-session-id"]


def send(server: ServingChild, session: str, era: str, body: bytes) -> Reply:
    tool = "provision_workspace" if b'"provision_workspace"' in body else "start_process"
    is_call = b'"tools/call"' in body
    newer = modern_headers("tools/call" if is_call else "ping", tool if is_call else "")
    headers = newer if era == "modern" else {"Mcp-Session-Id": session}
    body = in_the_newer_era(body) if era == "modern" else body
    return ask(server.url, body, token=token_for("mallory"), **headers)


def serves_others(server: ServingChild) -> None:
    reply = ask(server.url, modern("tools/list"), token=token_for("alice"), **modern_headers("tools/list"))
    assert reply.status == 200
    assert b'"start_process"' in reply.body


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("name", SAME)
def test_hostile_input_is_refused_cheaply_and_others_are_served(
    server: ServingChild, session: str, name: str, era: str
) -> None:
    body, code = MESSAGES[name]
    serves_others(server)
    with bounded(server.process.pid):
        reply = send(server, session, era, body)
        serves_others(server)
    assert reply.status == 400
    assert reply.json["error"]["code"] == code
    assert len(reply.body) < 400


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("name", WRONG_CALLS)
def test_a_tool_refuses_what_it_cannot_take_as_cheaply(server: ServingChild, session: str, name: str, era: str) -> None:
    serves_others(server)
    with bounded(server.process.pid):
        reply = send(server, session, era, WRONG_CALLS[name])
        serves_others(server)
    assert reply.status == 200
    assert b'"isError":true' in reply.body
    assert len(reply.body) < 1500


@pytest.mark.parametrize("era", ERAS)
def test_a_body_in_another_encoding_is_none(server: ServingChild, session: str, era: str) -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-32-be", "utf-8-sig"):
        body = '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\u0122"}}'.encode(encoding)
        assert send(server, session, era, body).json["error"]["code"] == -32700
    serves_others(server)


def test_a_body_that_is_too_large_is_not_read(server: ServingChild, session: str) -> None:
    with bounded(server.process.pid), suppress(ConnectionError):  # it is cut when it goes on
        assert send(server, session, "modern", MESSAGES[HUGE][0]).status == 413
    serves_others(server)
