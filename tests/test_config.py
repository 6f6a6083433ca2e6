"""`ws-mcp config HOST`: what hosts are told, and that their files keep all the rest."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ws_mcp import cli
from ws_mcp.config import THIS, ConfigWish, config, path_of
from ws_mcp.core.errors import ConflictError, InvalidArgumentError, StateError
from ws_mcp.hosts import BY_NAME, HOSTS, as_text, over_stdio

ROOT = Path(__file__).parents[1]
URL = "http://127.0.0.1:8811/mcp"
FILES = {
    "claude-desktop": "claude_desktop_config.json",
    "claude-code": "claude_code.mcp.json",
    "codex": "codex.config.toml",
    "gemini-cli": "gemini_settings.json",
    "vscode": "vscode.mcp.json",
    "cursor": "cursor.mcp.json",
}
KEPT = {"theme": "dark", "mcpServers": {"other": {"command": "x", "args": []}}, "näme": [1, 2.5, None]}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CODEX_HOME", raising=False)
    return tmp_path


def file_of(name: str, home: Path) -> Path:
    return path_of(BY_NAME[name], Path.cwd(), home, os.environ, is_mac=sys.platform == "darwin")


def test_each_host_has_an_example_that_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(FILES) | {"generic"} == set(BY_NAME) == set(cli.HOSTS)
    for name, file in FILES.items():
        host = BY_NAME[name]
        assert as_text(host, over_stdio(host, ("ws-mcp", "stdio"))) == (ROOT / "examples" / file).read_text(), name
        assert config(ConfigWish(host=name)) == 0
        assert capsys.readouterr().out == as_text(host, over_stdio(host, THIS)), name
    config(ConfigWish(host="generic", uvx="dist/ws_mcp.whl"))
    wanted = {"command": "uvx", "args": ["--from", "dist/ws_mcp.whl", "ws-mcp", "stdio"]}
    assert json.loads(capsys.readouterr().out)["mcpServers"]["ws"] == wanted


def test_the_documents_name_the_versions_that_are_tested() -> None:
    readme, page = (ROOT / "README.md").read_text(), (ROOT / "docs" / "hosts.md").read_text()
    for tools, documents in (("hosts", (readme, page)), ("inspector", (readme,)), ("mcpb", (readme,))):
        pinned = json.loads((ROOT / "requirements" / tools / "package.json").read_text())["dependencies"]
        for name, version in pinned.items():
            assert all(re.search(rf"\b{re.escape(version)}\b", document) for document in documents), name


def test_over_http_the_token_is_only_named(capsys: pytest.CaptureFixture[str]) -> None:
    said: dict[str, str] = {}
    for host in HOSTS:
        if host.name != "claude-desktop":
            config(ConfigWish(host=host.name, url=URL))
            said[host.name] = capsys.readouterr().out
    assert tomllib.loads(said.pop("codex"))["mcp_servers"]["ws"] == {
        "url": URL,
        "bearer_token_env_var": "WS_MCP_TOKEN",
        "startup_timeout_sec": 30,
        "tool_timeout_sec": 300,
    }
    header = {
        name: next(iter(json.loads(text).values()))["ws"]["headers"]["Authorization"] for name, text in said.items()
    }
    assert header == {
        "claude-code": "Bearer ${WS_MCP_TOKEN}",
        "gemini-cli": "Bearer $WS_MCP_TOKEN",
        "vscode": "Bearer ${input:ws-mcp-token}",
        "cursor": "Bearer ${env:WS_MCP_TOKEN}",
        "generic": "Bearer ${WS_MCP_TOKEN}",
    }
    assert json.loads(said["vscode"])["inputs"][0]["id"] == "ws-mcp-token"


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (ConfigWish(host="claude-desktop", url=URL), "leave --http out"),
        (ConfigWish(host="cursor", url="127.0.0.1:8811"), "--http wants the server's address"),
        (ConfigWish(host="cursor", url=f"{URL}?token=x"), "a token never stands in a URL"),
        (ConfigWish(host="cursor", url="http://u:p@h/mcp"), "a token never stands in a URL"),
        (ConfigWish(host="cursor", url=URL, flags=("--root", "/x")), "give flags to `ws-mcp http`"),
        (ConfigWish(host="generic", writes=True), "leave --write out"),
    ],
)
def test_what_a_host_cannot_be_told_is_refused(wish: ConfigWish, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        config(wish)


@pytest.mark.parametrize("name", [name for name in FILES if name != "codex"])
def test_a_file_gets_the_server_and_keeps_the_rest(name: str, home: Path) -> None:
    file = file_of(name, home)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(KEPT))
    file.chmod(0o640)
    assert config(ConfigWish(host=name, writes=True, is_sure=True, flags=("--root", "/x"))) == 0
    found = json.loads(file.read_text())
    entry = found[BY_NAME[name].servers].pop("ws")
    assert entry["args"] == ["-m", "ws_mcp", "stdio", "--root", "/x"]
    assert {name: value for name, value in found.items() if value} == KEPT
    assert file.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in file.parent.iterdir() if each.name.startswith(file.name)] == [file.name]


def test_codex_gets_a_table_and_a_second_one_is_refused(home: Path) -> None:
    file = file_of("codex", home)
    file.parent.mkdir()
    before = '# mine\nmodel = "m"\n\n[mcp_servers.other]\ncommand = "x"\n'
    file.write_text(before)
    assert config(ConfigWish(host="codex", writes=True, is_sure=True)) == 0
    after = file.read_text()
    assert after.startswith(before)
    assert tomllib.loads(after)["mcp_servers"]["ws"]["args"] == ["-m", "ws_mcp", "stdio"]
    with pytest.raises(ConflictError, match="has a server 'ws' already"):
        config(ConfigWish(host="codex", writes=True, is_sure=True))
    file.write_text('mcp_servers = { other = { command = "x" } }\n')
    with pytest.raises(InvalidArgumentError, match="no TOML to which a table can be added"):
        config(ConfigWish(host="codex", writes=True, is_sure=True))
    assert "ws-mcp" not in file.read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{ // mine\n}", "no plain JSON, without comments"),
        ('{"a": 1,\n"a": 2}', "has a name twice"),
        ("[]", "but no object"),
        ('{"mcpServers": []}', "its 'mcpServers' is something else"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_a_file_that_a_program_cannot_change_without_loss_stays_as_it_is(home: Path, text: str, words: str) -> None:
    file = file_of("cursor", home)
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(InvalidArgumentError, match=words):
        config(ConfigWish(host="cursor", writes=True, is_sure=True))
    assert file.read_text() == text


def test_a_file_that_is_a_link_stays_one(home: Path) -> None:
    kept, file = home / "dotfiles.json", file_of("gemini-cli", home)
    kept.write_text("{}")
    file.parent.mkdir()
    file.symlink_to(kept)
    config(ConfigWish(host="gemini-cli", writes=True, is_sure=True))
    assert file.is_symlink()
    assert "ws" in json.loads(kept.read_text())["mcpServers"]


def test_where_nothing_can_be_written_that_is_said(home: Path) -> None:
    (home / ".gemini").write_text("a file")
    with pytest.raises(StateError, match=r"~/\.gemini/settings\.json cannot be written"):
        config(ConfigWish(host="gemini-cli", writes=True, is_sure=True))


def test_nothing_is_written_until_somebody_agrees() -> None:
    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        argv = (sys.executable, "-m", "ws_mcp", "config", "cursor", "--write", *words)
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)

    file = Path(".cursor/mcp.json")
    unsure = ask()
    assert (unsure.returncode, file.exists()) == (1, False)
    assert '+      "command": "' in unsure.stdout
    assert "Nothing was written." in unsure.stdout
    assert "--yes writes without asking" in unsure.stderr
    sure = ask("--yes", "--root", "/x", "--root", "/y", "--no-pull")
    assert (sure.returncode, file.exists()) == (0, True)
    args = json.loads(file.read_text())["mcpServers"]["ws"]["args"]
    assert args == ["-m", "ws_mcp", "stdio", "--no-pull", "--root", "/x", "--root", "/y"]
    assert "says so already" in ask("--yes", *args[3:]).stdout


def test_codex_home_is_where_codex_looks(home: Path) -> None:
    host = BY_NAME["codex"]
    assert path_of(host, home, home, {"CODEX_HOME": "/c"}, is_mac=False) == Path("/c/config.toml")
    assert path_of(BY_NAME["claude-desktop"], home, home, {}, is_mac=True).parts[-4:-1] == (
        "Library",
        "Application Support",
        "Claude",
    )
