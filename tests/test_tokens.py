"""`ws-mcp token`: a token is shown once, the two commands that use it work, and nothing else gives it away."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from support.edge_client import MODES
from support.http_ground import HELLO, ask, http_client
from support.peers import server_environment

from ws_mcp.cli import run
from ws_mcp.edge.token_file import TokenFile

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "s"


def create(state: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert run(["token", "create", *more, "--state", str(state)]) == 0
    return capsys.readouterr().out


def test_a_token_is_shown_once_and_kept_as_its_hash_only(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = create(state, capsys, "alice")
    token = said.splitlines()[0]
    assert re.fullmatch(r"wsmcp_[\w-]{43}", token)
    kept = (state / "tokens").read_text()
    assert token not in kept
    assert (state / "tokens").stat().st_mode & 0o777 == 0o600
    principal = TokenFile(state / "tokens").principal_of(token)
    assert principal is not None
    assert principal.id == "alice"
    assert run(["token", "list", "--state", str(state)]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("alice: for alice, read and write, ")
    assert json.loads(kept)["sha256"] not in listed


def test_two_are_good_at_once_until_one_is_revoked(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = (create(state, capsys, "alice").splitlines()[0] for _ in range(2))
    file = TokenFile(state / "tokens")
    assert file.principal_of(old) == file.principal_of(new) is not None
    assert run(["token", "revoke", "alice", "--state", str(state)]) == 0
    assert file.principal_of(old) is None
    assert file.principal_of(new) is not None
    assert run(["token", "revoke", "alice", "--state", str(state)]) == 1
    assert "there is no token named 'alice'" in capsys.readouterr().err


def test_what_a_token_is_for_is_listed(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create(state, capsys, "alice", "--name", "laptop", "--for-reading", "--expires", "90d", "--chat", "c_secret")
    assert run(["token", "list", "--state", str(state)]) == 0
    listed = capsys.readouterr().out
    assert re.fullmatch(r"laptop: for alice, read only, one chat, 0 s old, until 20.*UTC\n", listed)


@pytest.mark.parametrize("principal", ["", "a b", "-a", "a\nb", "é", "x" * 200])
def test_a_name_that_is_none_is_refused(principal: str, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["token", "create", f"--name={principal or ' '}", "alice", "--state", str(state)]) == 1
    assert "this is no name of a token" in capsys.readouterr().err
    assert not (state / "tokens").exists()


def test_without_any_the_list_says_how_to_make_one(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["token", "list", "--state", str(state)]) == 0
    assert "ws-mcp token create" in capsys.readouterr().out


def test_a_file_of_tokens_can_be_elsewhere(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WS_MCP_TOKENS", str(tmp_path / "etc" / "tokens"))
    create(state, capsys, "alice")
    assert (tmp_path / "etc" / "tokens").exists()
    assert not state.exists()


def test_where_no_file_can_be_it_is_said_in_one_line(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("x")
    assert run(["token", "create", "alice", "--state", str(state), "--tokens", str(tmp_path / "taken" / "tokens")]) == 1
    assert re.fullmatch(r"ws-mcp: the tokens file .* cannot be written .*\n", capsys.readouterr().err)
    (tmp_path / "dir").mkdir()
    assert run(["token", "list", "--state", str(state), "--tokens", str(tmp_path / "dir")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_the_commands_that_create_shows_connect_a_client(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = create(state, capsys, "alice")
    serve, add = re.findall(r"^  (ws-mcp http|claude mcp add .*)$", said, re.MULTILINE)
    url, header = re.findall(r'(http://\S+) --header "Authorization: (Bearer \S+)"', add)[0]
    servers: dict[str, Any] = json.loads(said[said.index("{") :])["mcpServers"]
    assert servers["ws"] == {"type": "http", "url": url, "headers": {"Authorization": header}}
    argv = (
        sys.executable,
        "-m",
        "ws_mcp",
        *serve.split()[1:],
        "--port",
        "0",
        "--engine",
        "none",
        "--state",
        str(state),
    )
    with subprocess.Popen(argv, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stderr is not None
            found = re.search(r"http://\S+", server.stderr.readline())
            assert found is not None
            assert ask(found[0], HELLO, Authorization=header).status == 200
            assert not (state / "http-token").exists()
        finally:
            server.kill()


@pytest.mark.parametrize("mode", MODES)
async def test_the_two_commands_of_the_readme_start_a_server_and_connect_a_client(
    mode: str, tmp_path: Path, real_io: None
) -> None:
    chapter = await anyio.Path(README).read_text()
    serve, add = re.findall(r"^ws-mcp http$|^claude mcp add .*$", chapter.partition("<!-- http -->")[2], re.MULTILINE)[
        :2
    ]
    url, header = re.findall(r'(http://\S+) --header (".*")$', add)[0]
    home = {name: value for name, value in server_environment().items() if name != "XDG_STATE_HOME"}
    home |= {"HOME": str(tmp_path)}
    argv = (sys.executable, "-m", "ws_mcp", *serve.split()[1:], "--port", "0", "--engine", "none")
    with anyio.fail_after(60):
        async with await anyio.open_process(argv, env=home, cwd=tmp_path, stdin=subprocess.DEVNULL) as server:
            assert server.stderr is not None
            said = ""
            while said.count("\n") < 2:
                said += (await server.stderr.receive()).decode()
            found = re.search(r"http://\S+", said)
            assert found is not None
            assert url.rpartition(":")[0] == found[0].rpartition(":")[0]
            # As a shell reads it.
            told = await anyio.run_process(("sh", "-c", f"printf %s {header}"), env=home)
            token = told.stdout.decode().removeprefix("Authorization: Bearer ")
            async with http_client(found[0], token, mode) as client:
                assert (await client.list_tools()).tools
            server.terminate()
