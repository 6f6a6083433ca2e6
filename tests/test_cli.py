"""What a person sees of the command line when something is wrong with what they said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ws_mcp.cli import run
from ws_mcp.settings import Settings


def test_a_bad_setting_is_named_with_what_it_may_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WS_MCP_RUNNING", "0")
    assert run(["ps"]) == 2
    assert "setting running: Input should be greater than or equal to 1" in capsys.readouterr().err


def test_without_a_command_the_help_says_what_hosts_start_and_stdout_stays_clean(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "what hosts start" in said.err
    assert "ws-mcp stdio  " in said.err


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A server as a child: it changes how its process collects garbage."""
    argv = (sys.executable, "-m", "ws_mcp", *arguments, "--engine", "none")
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL)


def test_an_expected_failure_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = serve("stdio", "--state", str(tmp_path / "file"))
    assert done.returncode == 1
    assert done.stderr.startswith("ws-mcp: the state directory cannot be made")
    assert len(done.stderr.splitlines()) == 1


def test_http_refuses_an_address_that_others_can_reach(tmp_path: Path) -> None:
    done = serve("http", "--host", "0.0.0.0", "--state", str(tmp_path / "s"))
    assert done.returncode == 1
    assert done.stderr.startswith("ws-mcp: ws-mcp does not listen on '0.0.0.0'")


def test_http_refuses_half_of_what_an_issuer_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["http", "--oauth-issuer", "https://id.example"]) == 1
    assert "--oauth-issuer, --oauth-jwks and --oauth-resource go together" in capsys.readouterr().err


@pytest.mark.parametrize("age", ["", "7", "d", "7w", "-1d", "1.5h", "7 d", "9999999999d"])
def test_an_age_that_is_none_is_refused_with_how_to_write_one(age: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(["sweep", f"--older-than={age}"])
    assert "is no age; write 90s, 10m, 12h or 7d" in capsys.readouterr().err


def test_a_sweep_of_a_directory_that_does_not_exist_makes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sweep", "--apply", "--older-than", "7d", "--state", str(tmp_path / "s")]) == 0
    assert "Nothing was ever made from this state directory" in capsys.readouterr().out
    assert not (tmp_path / "s").exists()


def test_without_an_engine_there_is_nothing_to_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "state.db").touch()
    assert run(["sweep", "--engine", "none", "--state", str(tmp_path / "s")]) == 0
    assert "nothing to sweep" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["stdio", "http", "demo", "doctor", "ps", "sweep"])
def test_every_setting_is_a_flag_of_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run([command, "--help"])
    said = capsys.readouterr().out
    for name in Settings.model_fields:
        assert "--" + name.replace("_", "-") in said


@pytest.mark.parametrize(
    "address", ["postgresql://me:hush-hush@host/db", "postgresql://me@host/db?password=hush-hush", "mysql://hush-hush"]
)
def test_a_password_is_no_flag_and_no_problem_repeats_it(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ps", "--state-database", address]) == 2
    said = capsys.readouterr().err
    assert "state_database" in said
    assert "hush-hush" not in said
