"""T32: of tokens that somebody else issued only those count that are for this server, by the right hand, in time."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from support.edge_client import MODES, ok
from support.http_ground import (
    HELLO,
    HttpGround,
    Reply,
    ask,
    http_client,
    open_http_ground,
    record_for,
    token_for,
)
from support.issuer import ISSUER, RESOURCE, Issuer
from support.peers import project_of, server_argv, server_environment

from ws_mcp.edge.http_choices import HttpChoices, OAuth
from ws_mcp.edge.oauth import IssuedTokens

METADATA = "/.well-known/oauth-protected-resource/mcp"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@asynccontextmanager
async def open_ground(issuer: Issuer, directory: Path, **more: Any) -> AsyncGenerator[HttpGround]:
    file = await anyio.to_thread.run_sync(issuer.file, directory)
    oauth = OAuth(issuer=ISSUER, jwks=file, resource=RESOURCE, audience=RESOURCE)
    oauth = replace(oauth, **more)
    choices = HttpChoices(port=0, oauth=oauth)
    async with open_http_ground(directory, record_for("alice"), choices=choices, issued=IssuedTokens(oauth)) as ground:
        yield ground


async def told(ground: HttpGround, token: str, path: str = "/mcp", **more: Any) -> Reply:
    url = ground.url.replace("/mcp", path)
    return await anyio.to_thread.run_sync(partial(ask, url, HELLO, token=token, **more))


def unsigned(issuer: Issuer) -> str:
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "rsa"}).encode()).rstrip(b"=").decode()
    return f"{head}.{issuer.token().split('.')[1]}."


def forged(issuer: Issuer) -> dict[str, str]:
    now = int(time.time())
    good = issuer.token()
    head, body, signature = good.split(".")
    return {
        "another audience": issuer.token(aud="https://other.example/mcp"),
        "our name in another's": issuer.token(aud="https://ws.example/mcp/evil"),
        "no audience": issuer.token(without="aud"),
        "another issuer": issuer.token(iss="https://evil.example"),
        "no issuer": issuer.token(without="iss"),
        "expired": issuer.token(exp=now - 120),
        "no expiry": issuer.token(without="exp"),
        "not yet": issuer.token(nbf=now + 600),
        "no subject": issuer.token(without="sub"),
        "an unknown key": issuer.token(key=issuer.unknown),
        "an unknown key id": issuer.token(kid="other"),
        "no key id": issuer.token(kid=None),
        "a shared secret": issuer.token(key="kkk" * 20, kid="shared", algorithm="HS256"),
        "the public key as a secret": issuer.token(key="k" * 64, kid="rsa", algorithm="HS256"),
        "the wrong algorithm for the key": issuer.token(key=issuer.rsa, kid="ec"),
        "no signature": unsigned(issuer),
        "a changed body": ".".join((head, body[:-4] + "AAAA", signature)),
        "a cut signature": good[:-8],
        "no token at all": "eyJ.eyJ.x",
        "nothing": "..",
    }


async def test_only_tokens_for_this_server_by_its_issuer_count(issuer: Issuer, tmp_path: Path, real_io: None) -> None:
    with anyio.fail_after(60):
        async with open_ground(issuer, tmp_path) as ground:
            for what, token in forged(issuer).items():
                assert (await told(ground, token)).status == 401, what
            assert ground.core.chats_by == {}
            assert (await told(ground, issuer.token())).status == 200
            assert (await told(ground, issuer.token(kid="ec", algorithm="ES256"))).status == 200
            assert (await told(ground, issuer.token(aud=["https://other.example", RESOURCE]))).status == 200
            assert (await told(ground, token_for("alice"))).status == 200  # of the file, beside the issuer's


async def test_who_comes_without_a_token_is_told_where_to_get_one(
    issuer: Issuer, tmp_path: Path, real_io: None
) -> None:
    with anyio.fail_after(30):
        async with open_ground(issuer, tmp_path) as ground:
            refused = await told(ground, "")
            url = "https://ws.example/.well-known/oauth-protected-resource/mcp"
            assert (refused.status, f'resource_metadata="{url}"' in refused.headers["www-authenticate"]) == (401, True)
            metadata = (await told(ground, "", METADATA, method="GET")).json
            assert metadata["resource"] == RESOURCE
            assert [one.rstrip("/") for one in metadata["authorization_servers"]] == [ISSUER]
            assert (await told(ground, "", METADATA, method="GET", Host="evil.test")).status == 421


async def test_a_token_without_the_scope_is_forbidden_and_one_for_reading_reads(
    issuer: Issuer, tmp_path: Path, real_io: None
) -> None:
    with anyio.fail_after(60):
        async with open_ground(issuer, tmp_path) as ground:
            for scope in ("", "openid", "ws:readall", "WS:READ"):
                reply = await told(ground, issuer.token(scope=scope))
                assert reply.status == 403
                assert 'error="insufficient_scope"' in reply.headers["www-authenticate"]
            async with http_client(ground.url, issuer.token(scope="openid ws:read"), "2026-07-28") as client:
                assert (await client.call_tool("provision_workspace", {})).is_error
                offered = {tool.name for tool in (await client.list_tools()).tools}
                assert offered == {"read_output", "list_processes", "list_containers"}
            async with http_client(ground.url, issuer.token(scope=None, scp=["ws:write"]), "legacy") as client:
                await ok(client, "provision_workspace")
            assert len(ground.core.specs) == 1


@pytest.mark.parametrize("mode", MODES)
async def test_a_principal_is_issuer_client_and_subject_together(
    issuer: Issuer, mode: str, tmp_path: Path, real_io: None
) -> None:
    with anyio.fail_after(60):
        async with open_ground(issuer, tmp_path) as ground:
            async with http_client(ground.url, issuer.token(), mode) as client:
                chat = (await ok(client, "provision_workspace"))["chat"]
            async with http_client(ground.url, issuer.token(jti="renewed"), mode) as client:
                await ok(client, "list_processes", chat=chat)
            for other in ({"sub": "user-2"}, {"client_id": "other"}):
                async with http_client(ground.url, issuer.token(**other), mode) as client:
                    assert (await client.call_tool("list_processes", {"chat": chat})).is_error


async def test_a_subject_is_a_principal_only_where_the_operator_says_so_and_never_a_user_of_the_machine(
    issuer: Issuer, tmp_path: Path, real_io: None
) -> None:
    with anyio.fail_after(60):
        async with open_ground(issuer, tmp_path, principal="subject") as ground:
            for subject in ("local:0", "oauth:00", "a b", "", "-x", "x" * 200):
                assert (await told(ground, issuer.token(sub=subject))).status == 401, subject
            async with http_client(ground.url, issuer.token(sub="alice"), "legacy") as client:
                await ok(client, "provision_workspace")
            assert {principal for principal, _ in ground.core.chats_by} == {"alice"}


async def test_keys_at_a_url_are_fetched_once_however_many_unknown_ones_are_named(
    issuer: Issuer, tmp_path: Path, real_io: None
) -> None:
    issuer.fetches = 0
    with issuer.served() as url:
        tokens = IssuedTokens(OAuth(issuer=ISSUER, jwks=url, resource=RESOURCE, audience=RESOURCE))
        assert await tokens.verify_token(issuer.token()) is not None
        for number in range(20):
            assert await tokens.verify_token(issuer.token(kid=f"unknown-{number}")) is None
        assert await tokens.verify_token(issuer.token(jti="2")) is not None
    assert issuer.fetches == 1
    lost = IssuedTokens(OAuth(issuer=ISSUER, jwks=url, resource=RESOURCE, audience=RESOURCE))
    assert await lost.verify_token(issuer.token()) is None


async def test_a_token_that_was_good_is_not_any_more_when_it_expires(
    issuer: Issuer, tmp_path: Path, real_io: None
) -> None:
    now = [time.time()]
    file = await anyio.to_thread.run_sync(issuer.file, tmp_path)
    oauth = OAuth(issuer=ISSUER, jwks=file, resource=RESOURCE, audience=RESOURCE)
    tokens = IssuedTokens(oauth, lambda: now[0])
    token = issuer.token(exp=int(now[0]) + 2)
    proven = await tokens.verify_token(token)
    assert proven is not None
    assert proven is await tokens.verify_token(token)
    assert proven.stands()
    now[0] += 60
    assert not proven.stands()


def test_a_server_with_an_issuer_makes_no_token_of_its_own(issuer: Issuer, tmp_path: Path) -> None:
    state = tmp_path / "s"
    oauth = ("--oauth-issuer", ISSUER, "--oauth-jwks", issuer.file(tmp_path), "--oauth-resource", RESOURCE)
    argv = (*server_argv("http", state, "--engine", "none"), "--port", "0", *oauth)
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=server_environment(), cwd=project_of(state))
    assert process.stderr is not None
    try:
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found is not None
        assert ask(found[0]).status == 401
        assert ask(found[0], token=issuer.token(aud="other")).status == 401
        assert ask(found[0], token=issuer.token()).status == 200
        assert not (state / "http-token").exists()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
