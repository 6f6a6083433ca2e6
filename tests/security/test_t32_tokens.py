"""T32: without a good token there is nothing, however it is asked; a token is good for what it says and no longer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from mcp import MCPError
from support.edge_client import MODES, call, ok, resource, text_of
from support.http_ground import (
    HELLO,
    HttpGround,
    Reply,
    ask,
    modern,
    modern_headers,
    open_http_ground,
    record_for,
    token_for,
    write_tokens,
)
from support.memory_journal import MemoryJournal
from support.peers import project_of, server_argv, server_environment
from support.serving_child import open_child_http

from ws_mcp.core.clock import utc_now
from ws_mcp.core.policy.tokens import PREFIX

GOOD = token_for("alice")
BAD = (
    "",
    PREFIX,
    GOOD[:-1],
    GOOD + "t",
    GOOD.upper(),
    GOOD[len(PREFIX) :],
    token_for("bob"),  # expired
    token_for("carol"),  # never there
    "\x00",
    "a" * 20_000,
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
)
ROUTES = (
    *((method, "/mcp") for method in ("POST", "GET", "DELETE", "OPTIONS", "HEAD", "PUT")),
    *((method, "/") for method in ("POST", "DELETE", "OPTIONS", "PUT")),  # GET is for the page: it has no data
    *(("GET", path) for path in ("//", "/page.html", "/metrics", "/mcp/", "/.well-known/openid-configuration")),
)


def expired() -> timedelta:
    return timedelta(seconds=1)


async def told(ground: HttpGround, message: object = HELLO, **more: str) -> Reply:
    return await anyio.to_thread.run_sync(partial(ask, ground.url, message, **more))


async def test_no_route_answers_without_a_good_token(tmp_path: Path, real_io: None) -> None:
    over = record_for("bob", expires_at=utc_now() - expired())
    messages = (
        (HELLO, dict[str, str]()),
        (modern("tools/list"), modern_headers("tools/list")),
        (modern("resources/read", uri="ws://containers"), modern_headers("resources/read", "ws://containers")),
        (modern("subscriptions/listen", notifications={}), modern_headers("subscriptions/listen")),
    )
    with anyio.fail_after(90):
        async with open_http_ground(tmp_path, record_for("alice"), over) as ground:
            for token in BAD:
                if not token.isprintable():
                    continue
                for message, headers in messages:
                    reply = await told(ground, message, token=token, **headers)
                    assert reply.status == 401, (token[:20], message)
                    assert reply.headers["www-authenticate"].startswith("Bearer ")
                    assert b"ws" not in reply.body
            for method, path in ROUTES:
                url = ground.url.replace("/mcp", path)
                assert (await anyio.to_thread.run_sync(partial(ask, url, b"", method=method))).status == 401, path
            for scheme in (f"Basic {GOOD}", GOOD, f"Token {GOOD}", f"Bearer  {GOOD}"):
                assert (await told(ground, Authorization=scheme)).status == 401, scheme
            assert (await told(ground, token=GOOD)).status == 200
            assert ground.core.chats_by == {}


@pytest.mark.parametrize("mode", MODES)
async def test_a_token_that_is_revoked_or_expires_is_refused_at_once_and_another_is_good_beside_it(
    mode: str, tmp_path: Path, real_io: None
) -> None:
    both = (record_for("alice"), record_for("alice", name="next"))
    with anyio.fail_after(60):
        async with open_http_ground(tmp_path, *both) as ground, ground.client("alice", mode) as client:
            chat = (await ok(client, "provision_workspace"))["chat"]
            async with ground.client("alice", mode, name="next") as other:
                await ok(other, "list_containers", chat=chat)
                write_tokens(ground.tokens, record_for("alice", name="next"))
                with pytest.raises(MCPError):
                    await client.call_tool("list_containers", {"chat": chat})
                await ok(other, "list_containers", chat=chat)
                over = record_for("alice", name="next", expires_at=utc_now() - expired())
                write_tokens(ground.tokens, over)
                with pytest.raises(MCPError):
                    await other.call_tool("list_containers", {"chat": chat})


@pytest.mark.parametrize("bad", ["not json", '{"name": "x"}', '{"surprise": 1}', "\udcff"])
async def test_a_tokens_file_that_cannot_be_read_or_that_others_may_read_lets_nobody_in(
    bad: str, tmp_path: Path, real_io: None
) -> None:
    with anyio.fail_after(30):
        async with open_http_ground(tmp_path, record_for("alice")) as ground:
            assert (await told(ground, token=GOOD)).status == 200
            good = ground.tokens.read_bytes()
            ground.tokens.write_bytes(good + bad.encode(errors="surrogateescape"))
            assert (await told(ground, token=GOOD)).status == 401
            ground.tokens.write_bytes(good)
            assert (await told(ground, token=GOOD)).status == 200
            ground.tokens.chmod(0o644)
            assert (await told(ground, token=GOOD)).status == 401
            ground.tokens.chmod(0o600)
            assert (await told(ground, token=GOOD)).status == 200
            ground.tokens.unlink()
            assert (await told(ground, token=GOOD)).status == 401


@pytest.mark.parametrize("mode", MODES)
async def test_a_token_for_reading_changes_nothing(mode: str, tmp_path: Path, real_io: None) -> None:
    journal = MemoryJournal()
    reads = record_for("alice", name="reads", scopes=("ws:read",))
    with anyio.fail_after(60):
        async with open_http_ground(tmp_path, record_for("alice"), reads, journal=journal) as ground:
            async with ground.client("alice", mode) as client:
                chat = (await ok(client, "provision_workspace"))["chat"]
            made = len(ground.core.specs)
            async with ground.client("alice", mode, name="reads") as client:
                await ok(client, "list_processes", chat=chat)
                await resource(client, f"ws://chats/{chat}/processes")
                for tool, arguments in (
                    ("provision_workspace", {}),
                    ("start_process", {"command": "true"}),
                    ("remove_workspace", {"name": "main"}),
                ):
                    result = await call(client, tool, chat=chat, **arguments)
                    assert result.is_error
                    assert "has no scope ws:write" in text_of(result)
                    assert journal.outcomes[-1] == (tool, "denied", "scope ws:write")
                await ok(client, "list_processes", chat=chat)
            assert len(ground.core.specs) == made


async def test_a_session_is_of_no_use_to_another_and_its_scopes_are_those_of_each_request(
    tmp_path: Path, real_io: None
) -> None:
    reads = record_for("alice", name="reads", scopes=("ws:read",))
    start = {"name": "start_process", "arguments": {"command": "true", "chat": "c_x"}}
    message = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": start}
    with anyio.fail_after(30):
        async with open_http_ground(tmp_path, record_for("alice"), record_for("bob"), reads) as ground:
            hello = await told(ground, token=GOOD)
            session = {"Mcp-Session-Id": hello.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
            assert (await told(ground, message, token=token_for("bob"), **session)).status == 404
            assert (await told(ground, message, **session)).status == 401
            assert b"you have no chat" in (await told(ground, message, token=GOOD, **session)).body
            narrow = await told(ground, message, token=token_for("alice", name="reads"), **session)
            assert b"no scope ws:write" in narrow.body


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root can be somebody else")
def test_another_user_is_refused_at_the_unix_socket_whatever_its_mode(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = Path("/tmp") / f"ws-mcp-t32-{os.getpid()}"
    directory.mkdir(mode=0o711)
    try:
        path = directory / "s"
        with open_child_http(f"unix={path}") as server:
            path.chmod(0o777)
            ask_it = (
                "import socket,sys; s=socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1])\n"
                "try:\n s.sendall(b'GET /mcp HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'); print(len(s.recv(100)))\n"
                "except ConnectionError: print(0)"
            )
            argv = ("/usr/bin/env", "python3", "-c", ask_it, str(path))
            for user, is_served in ((65534, False), (0, True)):
                done = subprocess.run(argv, user=user, capture_output=True, text=True, timeout=30, check=True, cwd="/")
                assert (int(done.stdout) > 0) is is_served, user
            assert "user 65534 was refused" in server.ended()
    finally:
        for left in directory.iterdir():
            left.unlink()
        directory.rmdir()


def test_a_server_without_any_token_makes_one_keeps_it_to_its_user_and_uses_it_again(tmp_path: Path) -> None:
    state = tmp_path / "s"

    def started() -> tuple[str, str]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        argv = (*server_argv("http", state, "--engine", "none"), "--port", str(port))
        process = subprocess.Popen(
            argv, stderr=subprocess.PIPE, text=True, env=server_environment(), cwd=project_of(state)
        )
        assert process.stderr is not None
        try:
            said = process.stderr.readline() + process.stderr.readline()
            token = (state / "http-token").read_text().strip()
            url = f"http://127.0.0.1:{port}/mcp"
            assert ask(url).status == 401
            assert ask(url, token=token).status == 200
            return said, token
        finally:
            process.kill()
            process.wait()
            process.stderr.close()

    said, token = started()
    assert str(state / "http-token") in said
    assert token not in said
    assert (state / "http-token").stat().st_mode & 0o777 == 0o600
    assert (state / "tokens").stat().st_mode & 0o777 == 0o600
    assert token not in (state / "tokens").read_text()
    assert started()[1] == token
