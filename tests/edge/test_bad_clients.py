"""Clients that do not keep to the protocol: each gets the right answer, and nobody else notices."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Generator
from contextlib import ExitStack
from copy import deepcopy
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.edge_client import MODES, ok
from support.http_ground import HELLO, ask, http_client, modern, modern_headers, record_for, token_for, write_tokens
from support.memory import memory_of
from support.raw_client import Era, Json, RawClient, RawClientError, open_raw_client
from support.serving_child import PROGRAM, ServingChild, open_child_http

ERAS: tuple[Era, ...] = ("legacy", "modern")
FLOOD = 2000
UNREAD_S = 2.0
MOST_GROWTH = 60_000_000
SUPPORTED = "io.modelcontextprotocol/protocolVersion"
ABLE = "io.modelcontextprotocol/clientCapabilities"


@pytest.fixture(params=ERAS, scope="module")
def client(request: pytest.FixtureRequest) -> Generator[RawClient]:
    with open_raw_client([sys.executable, str(PROGRAM), "stdio"], request.param) as client:
        client.ok("provision_workspace")
        yield client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[ServingChild]:
    tokens = write_tokens(tmp_path_factory.mktemp("t") / "tokens", record_for("alice"), record_for("mallory"))
    with open_child_http(f"tokens={tokens}") as child:
        yield child


def changed(message: dict[str, Any], **meta: object) -> dict[str, Any]:
    """The request with other words about its client."""
    other = deepcopy(message)
    other["params"]["_meta"] |= meta
    return other


def test_who_says_hello_in_an_unknown_version_is_told_the_newest_of_its_era(server: ServingChild) -> None:
    hello = deepcopy(HELLO)
    hello["params"]["protocolVersion"] = "1999-01-01"
    body = ask(server.url, hello, token=token_for("mallory")).body
    assert json.loads(body.split(b"data: ")[1])["result"]["protocolVersion"] == "2025-11-25"


def test_a_request_in_an_unknown_version_is_told_which_there_are(server: ServingChild) -> None:
    headers = modern_headers("tools/list") | {"MCP-Protocol-Version": "2099-01-01"}
    other = changed(modern("tools/list"), **{SUPPORTED: "2099-01-01"})
    reply = ask(server.url, other, token=token_for("mallory"), **headers)
    assert (reply.status, reply.json["error"]["code"]) == (400, -32022)
    assert reply.json["error"]["data"] == {"supported": ["2026-07-28"], "requested": "2099-01-01"}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"extensions": {"com.example/none": {"x": 1}}, "roots": {}, "strange": [1]}, None),
        ("all", -32602),
        ({"extensions": ["x"]}, -32602),
    ],
)
def test_extensions_that_nobody_knows_are_passed_over_and_nonsense_is_refused(
    server: ServingChild, said: object, code: int | None
) -> None:
    other = changed(modern("tools/list"), **{ABLE: said})
    answer = ask(server.url, other, token=token_for("mallory"), **modern_headers("tools/list")).json
    assert answer.get("error", {}).get("code") == code
    assert ("result" in answer) == (code is None)


@pytest.mark.parametrize("mode", MODES)
async def test_clients_that_go_in_the_middle_of_a_request_take_nothing_from_others(
    server: ServingChild, mode: str, real_io: None
) -> None:
    place = urlsplit(server.url)
    token = token_for("mallory")
    body = json.dumps(modern("tools/call", name="list_processes", arguments={})).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json"
        f"\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: list_processes\r\n"
        f"Accept: application/json, text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    async with http_client(server.url, token_for("alice"), mode) as client:
        chat = (await ok(client, "provision_workspace"))["chat"]
        process = (await ok(client, "start_process", command="hang", wait_s=0, chat=chat))["process_id"]
        for cut in (1, len(head) - 1, len(head) + len(body) // 2, len(head) + len(body)):
            with ExitStack() as stack:
                for _ in range(20):
                    one = stack.enter_context(socket.create_connection((place.hostname or "", place.port or 0), 30))
                    one.sendall((head + body)[:cut])
            (there,) = (await ok(client, "list_processes", chat=chat))["processes"]
            assert (there["process_id"], there["state"]) == (process, "running")


def test_an_id_that_is_used_twice_at_once_gets_two_answers(client: RawClient) -> None:
    process = client.ok("start_process", command="hang", wait_s=0).structured["process_id"]
    params: Json = {"name": "read_output", "arguments": {"process_id": process, "wait_for": "exit", "wait_s": 0.2}}
    for _ in range(2):
        client.send_as(777, "tools/call", params)
    assert [client.answer_to(777)["content"] for _ in range(2)]
    client.ok("list_processes")


def test_progress_and_answers_that_nobody_waits_for_are_passed_over(client: RawClient) -> None:
    for number in range(FLOOD):
        progress: Json = {"progressToken": f"none-{number}", "progress": number}
        client.tell({"method": "notifications/progress", "params": progress})
    client.tell({"id": 99_999, "result": {}})
    client.tell({"id": "none", "error": {"code": 1, "message": "none"}})
    client.ok("list_processes")


def test_a_progress_token_that_is_none_is_refused(client: RawClient) -> None:
    arguments = {"name": "list_processes", "arguments": {}}
    with pytest.raises(RawClientError, match="-32602"):
        client.request("tools/call", {**arguments, "_meta": {"progressToken": {"x": 1}}})
    client.ok("list_processes")


def test_a_client_that_does_not_read_is_not_answered_in_memory(client: RawClient) -> None:
    before = memory_of(client.child.pid)
    sent = client.flood("tools/call", {"name": "list_containers", "arguments": {}}, UNREAD_S)
    assert sent > 100
    assert memory_of(client.child.pid) - before < MOST_GROWTH
    client.end_flood()
    client.ok("list_processes")  # it reads now: all was answered, this is, too
