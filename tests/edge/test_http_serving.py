"""Serving over HTTP inside a test: where it listens, for whom, and that it ends."""

from __future__ import annotations

import json
import os
import ssl
import stat
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from support.certificates import make_certificate
from support.edge_client import MODES, ok
from support.fake_core import FakeCore
from support.http_ground import HELLO, ask, open_http_ground, record_for, token_for, write_tokens

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.edge.http_choices import HttpChoices, OAuth, names_of
from ws_mcp.edge.http_serving import serve_http
from ws_mcp.edge.messages import MAX_BYTES
from ws_mcp.edge.serve import Stop
from ws_mcp.server import build_server

ISSUER: dict[str, Any] = {
    "issuer": "https://id.example",
    "jwks": "https://id.example/keys",
    "resource": "https://ws.example/mcp",
}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
async def test_http_is_served_on_the_loopback_until_it_is_asked_to_end(
    host: str, tmp_path: Path, real_io: None
) -> None:
    with anyio.fail_after(20):
        choices = HttpChoices(host=host, port=0)
        async with open_http_ground(tmp_path, record_for("alice"), choices=choices) as ground:
            for mode in MODES:
                async with ground.client("alice", mode) as client:
                    assert (await ok(client, "provision_workspace"))["change"] == "created"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.test", ""])
@pytest.mark.parametrize("more", [{}, {"allowed_hosts": ("ws.example",)}])
def test_it_does_not_listen_where_others_could_reach_it_without_tls(host: str, more: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="does not listen on"):
        HttpChoices(host=host, **more)


@pytest.mark.parametrize("more", [{"is_behind_proxy": True}, {"tls_cert": "/c", "tls_key": "/k"}])
def test_it_listens_beyond_this_machine_only_under_names_that_were_given(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="--allowed-host"):
        HttpChoices(host="0.0.0.0", **more)
    assert HttpChoices(host="0.0.0.0", allowed_hosts=("ws.example",), **more).allowed_hosts == ("ws.example",)


@pytest.mark.parametrize(
    "bad",
    [
        {"tls_cert": "/c"},
        {"tls_key": "/k"},
        {"allowed_hosts": ("*",)},
        {"allowed_hosts": ("http://ws.example",)},
        {"allowed_hosts": ("a b",)},
        {"port": -1},
        {"port": 65536},
    ],
)
def test_flags_that_make_no_sense_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        HttpChoices(**bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"issuer": "http://id.example"},
        {"issuer": "id.example"},
        {"jwks": "http://id.example/keys"},
        {"jwks": "ftp://id.example/keys"},
        {"resource": "http://ws.example/mcp"},
        {"resource": "https:///mcp"},
    ],
)
def test_an_issuer_is_reached_by_https_only(bad: dict[str, Any]) -> None:
    local: dict[str, Any] = {**ISSUER, "jwks": "/etc/keys.json", "issuer": "http://127.0.0.1:9"}
    assert OAuth(**ISSUER, audience="x").principal == OAuth(**local, audience="x").principal == "hash"
    with pytest.raises(InvalidArgumentError):
        OAuth(**{**ISSUER, **bad}, audience="x")


@pytest.mark.parametrize(
    ("choices", "origin"),
    [
        (HttpChoices(port=1), "http://localhost:1"),
        (HttpChoices(port=1, host="127.0.0.2"), "http://127.0.0.2:1"),
        (HttpChoices(unix="/s", allowed_hosts=("localhost:7",)), "http://localhost:7"),
        (HttpChoices(host="::", is_behind_proxy=True, allowed_hosts=("ws.example",)), "https://ws.example"),
        (HttpChoices(host="::", tls_cert="c", tls_key="k", allowed_hosts=("ws.example",)), "https://ws.example:1"),
    ],
)
def test_pages_of_its_own_names_may_ask(choices: HttpChoices, origin: str) -> None:
    names = names_of(choices, 0 if choices.unix else 1)
    assert origin in names.origins
    assert not {"null", "http://evil.test", "http://localhost", "http://localhost:2"} & names.origins


async def test_a_port_that_is_taken_is_an_error_that_says_so(tmp_path: Path, real_io: None) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as taken:
        port = taken.extra(anyio.abc.SocketAttribute.local_port)
        with pytest.raises(BaseExceptionGroup) as caught:
            async with open_http_ground(tmp_path, choices=HttpChoices(port=port)):
                pass
        assert caught.group_contains(InvalidArgumentError, match="choose another --port")


async def test_a_certificate_that_is_none_is_refused(tmp_path: Path, real_io: None) -> None:
    choices = HttpChoices(port=0, tls_cert=str(tmp_path / "missing"), tls_key=str(tmp_path / "missing"))
    with pytest.raises(BaseExceptionGroup) as caught:
        async with open_http_ground(tmp_path, choices=choices):
            pass
    assert caught.group_contains(InvalidArgumentError, match="certificate")


@pytest.mark.parametrize("mode", MODES)
async def test_a_unix_socket_serves_its_own_user_without_a_token(mode: str, tmp_path: Path, real_io: None) -> None:
    path, stop, listens = tmp_path / "s", Stop(), anyio.Event()
    core = FakeCore()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            server = build_server(core, default_hint=None)

            def ready(_: str) -> None:
                listens.set()

            tasks.start_soon(serve_http, server, stop, HttpChoices(unix=str(path)), None, ready)
            await listens.wait()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            async with httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=str(path))) as inner:
                transport = streamable_http_client("http://localhost/mcp", http_client=inner)
                async with Client(transport, mode=mode) as client:
                    await ok(client, "provision_workspace", chat="new")
            stop.ask()
    assert {principal for principal, _ in core.chats_by} == {f"local:{os.getuid()}"}
    assert not path.exists()


async def test_a_socket_that_a_killed_server_left_is_taken_over_and_a_live_one_is_not(
    tmp_path: Path, real_io: None
) -> None:
    path = tmp_path / "s"
    async with await anyio.create_unix_listener(path):
        with pytest.raises(InvalidArgumentError, match="give another --unix"):
            await serve_http(build_server(FakeCore(), default_hint=None), Stop(), HttpChoices(unix=str(path)), None)
    assert path.exists()
    stop = Stop()
    stop.ask()
    with anyio.fail_after(20):
        await serve_http(build_server(FakeCore(), default_hint=None), stop, HttpChoices(unix=str(path)), None)
    assert not path.exists()
    path.write_text("a file of somebody's")
    with pytest.raises(InvalidArgumentError, match="give another --unix"):
        await serve_http(build_server(FakeCore(), default_hint=None), Stop(), HttpChoices(unix=str(path)), None)
    assert path.read_text() == "a file of somebody's"


@pytest.mark.parametrize("mode", MODES)
async def test_each_principal_has_chats_of_its_own(mode: str, tmp_path: Path, real_io: None) -> None:
    with anyio.fail_after(30):
        async with open_http_ground(tmp_path, record_for("alice"), record_for("bob")) as ground:
            async with ground.client("alice", mode) as client:
                chat = (await ok(client, "provision_workspace"))["chat"]
                await ok(client, "list_processes", chat=chat)
            async with ground.client("bob", mode) as client:
                foreign = await client.call_tool("list_processes", {"chat": chat})
                unknown = await client.call_tool("list_processes", {"chat": "c_" + "x" * 26})
                assert (foreign.is_error, foreign.content) == (True, unknown.content)


@pytest.mark.parametrize("mode", MODES)
async def test_a_token_for_one_chat_is_good_for_that_one_only(mode: str, tmp_path: Path, real_io: None) -> None:
    with anyio.fail_after(30):
        async with open_http_ground(tmp_path, record_for("alice")) as ground:
            async with ground.client("alice", mode) as client:
                other = (await ok(client, "provision_workspace"))["chat"]
            write_tokens(ground.tokens, record_for("alice", name="bound", chat="ci"))
            async with ground.client("alice", mode, name="bound") as client:
                one = (await ok(client, "provision_workspace", name="main"))["chat"]
                assert one != other
                assert (await ok(client, "list_processes"))["chat"] == one
                assert (await ok(client, "list_containers", chat=one))["chat"] == one
                foreign = await client.call_tool("list_processes", {"chat": other})
                unknown = await client.call_tool("list_processes", {"chat": "c_" + "x" * 26})
                assert (foreign.is_error, foreign.content) == (True, unknown.content)
                new = await client.call_tool("provision_workspace", {"chat": "new"})
                assert new.is_error
                meta = await client.call_tool("list_processes", {}, meta={"openai/session": "another"})
                assert (meta.structured_content or {})["chat"] == one


async def test_tls_is_spoken_with_the_certificate_that_was_given(tmp_path: Path, real_io: None) -> None:
    cert, key = make_certificate(tmp_path)
    choices = HttpChoices(port=0, tls_cert=str(cert), tls_key=str(key))
    with anyio.fail_after(20):
        async with open_http_ground(tmp_path, record_for("alice"), choices=choices) as ground:
            assert ground.url.startswith("https://127.0.0.1:")
            context = ssl.create_default_context(cafile=str(cert))
            async with httpx2.AsyncClient(verify=context) as client:
                assert (await client.post(ground.url, json={})).status_code == 401
                headers = {"Authorization": f"Bearer {token_for('alice')}", "Accept": "application/json"}
                assert (await client.post(ground.url, json={}, headers=headers)).status_code != 401
            with pytest.raises(OSError):  # noqa: PT011 - whichever way plain HTTP fails on TLS
                await anyio.to_thread.run_sync(partial(ask, ground.url.replace("https", "http")))


async def test_what_is_no_message_is_refused_and_the_next_one_is_served(tmp_path: Path, real_io: None) -> None:
    with anyio.fail_after(30):
        async with open_http_ground(tmp_path, record_for("alice")) as ground:
            for body, more, status in (
                (b"garbage", {}, 400),
                (b"x" * (MAX_BYTES + 1), {}, 413),
                (b"[" * 100_000, {}, 400),
                (b"{}", {}, 400),
                (json.dumps(HELLO).encode(), {"Content_Type": "text/plain"}, 400),
                (json.dumps(HELLO).encode(), {"Accept": "text/html"}, 406),
            ):
                sent = partial(ask, ground.url, body, token=token_for("alice"), **more)
                assert (await anyio.to_thread.run_sync(sent)).status == status, body[:10]
                told = await anyio.to_thread.run_sync(partial(ask, ground.url, token=token_for("alice")))
                assert told.status == 200
