"""What an operator can say about workspaces, as flags and as variables, and what it comes to."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

from ws_mcp.cli import parser_of_all, run, settings_of
from ws_mcp.core.devcontainers.allowances import WORDS
from ws_mcp.core.workspaces.model import Sizes
from ws_mcp.core.workspaces.rules import LARGEST, WorkspaceRules
from ws_mcp.doors import choices_of
from ws_mcp.settings import Settings, from_environment

FLAGS = (
    ("image", "debian:13"),
    ("pull", None),
    ("runtime", "python=registry.example:5000/py:3@sha256:0"),
    ("runtime", "node=node:24"),
    ("max-tier", "3"),
    ("size", "2.memory_mib=2048"),
    ("size", "2.cpus=1.5"),
    ("size", "1.pids=32"),
    ("largest", "cpus=2"),
    ("root", "/srv/a"),
    ("root", "/srv/b"),
    ("template", "team=/srv/team"),
    ("home", "agent=/srv/agent"),
    ("server-url", "http://10.0.0.1:8811/mcp"),
    ("container-runtime", "runsc"),
    ("workspaces", "3"),
    ("ended", "7"),
    ("idle-stop-s", "600"),
    ("volume-mib", "2048"),
)
VARIABLES = {
    "WS_MCP_IMAGE": "debian:13",
    "WS_MCP_PULL": "true",
    "WS_MCP_RUNTIME": "python=registry.example:5000/py:3@sha256:0, node=node:24",
    "WS_MCP_MAX_TIER": "3",
    "WS_MCP_SIZE": "2.memory_mib=2048,2.cpus=1.5,1.pids=32",
    "WS_MCP_LARGEST": '{"cpus": 2}',
    "WS_MCP_ROOT": os.pathsep.join(("/srv/a", "/srv/b")),
    "WS_MCP_TEMPLATE": '{"team": "/srv/team"}',
    "WS_MCP_HOME": "agent=/srv/agent",
    "WS_MCP_SERVER_URL": "http://10.0.0.1:8811/mcp",
    "WS_MCP_CONTAINER_RUNTIME": "runsc",
    "WS_MCP_WORKSPACES": "3",
    "WS_MCP_ENDED": "7",
    "WS_MCP_IDLE_STOP_S": "600",
    "WS_MCP_VOLUME_MIB": "2048",
}
RULES = WorkspaceRules(
    max_tier=3,
    sizes={2: Sizes(memory_mib=2048, cpus=1.5), 1: Sizes(pids=32)},
    largest=Sizes(
        memory_mib=LARGEST.memory_mib, cpus=2, pids=LARGEST.pids, tmpfs_mib=LARGEST.tmpfs_mib, log_mib=LARGEST.log_mib
    ),
    runtimes={"python": "registry.example:5000/py:3@sha256:0", "node": "node:24"},
    default_image="debian:13",
    may_pull=True,
    roots=(Path("/srv/a"), Path("/srv/b")),
    templates={"team": Path("/srv/team")},
    homes={"agent": Path("/srv/agent")},
    server_url="http://10.0.0.1:8811/mcp",
    container_runtime="runsc",
    workspaces=3,
    keep_ended=7,
    idle_stop_s=600,
    volume_mib=2048,
)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set where the tests run says nothing here."""
    for name in [name for name in os.environ if name.startswith("WS_MCP_")]:
        monkeypatch.delenv(name)


def read(*arguments: str) -> Settings:
    settings = settings_of(vars(parser_of_all().parse_args(["doctor", *arguments])))
    assert settings is not None
    return settings


BY_POLICY_ALONE = {"images", "access", "has_local", "has_devcontainers"}  # what differs by principal only
BY_ITSELF = {"closed"}  # what follows from where the server's own files are


def test_every_rule_for_workspaces_can_be_said_with_flags() -> None:
    arguments = [part for name, value in FLAGS for part in ([f"--{name}"] if value is None else [f"--{name}", value])]
    rules = choices_of(read(*arguments)).workspaces
    assert rules == RULES
    usual = WorkspaceRules()
    left = {each.name for each in fields(rules) if getattr(rules, each.name) == getattr(usual, each.name)}
    assert left == BY_POLICY_ALONE | BY_ITSELF


def test_every_rule_for_workspaces_can_be_said_with_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    assert choices_of(read()).workspaces == RULES


def test_a_flag_takes_the_place_of_all_that_its_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WS_MCP_ROOT", '["/srv/a"]')
    assert read("--root", "/srv/b").root == (Path("/srv/b"),)


def test_without_a_word_a_workspace_gets_nothing_of_this_machine() -> None:
    assert choices_of(Settings()).workspaces == WorkspaceRules()


def test_a_directory_is_absolute_whatever_the_server_was_started_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/srv/me")
    found = Settings.model_validate({"root": ["~/a", "b"]})
    assert found.root == (Path("/srv/me/a"), Path.cwd() / "b")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--size", "2.memory_mib=much"], "setting size.2.memory_mib: Input should be a valid number"),
        (["--size", "2.pids=1.5"], "setting size: 2.pids is 1.5: a whole number"),
        (["--size", "9.cpus=1"], "setting size: the name '9.cpus' cannot be used in TIER.NAME=VALUE: tiers 1 to 4;"),
        (["--size", "2.disk=1"], "setting size: the name '2.disk' cannot be used in TIER.NAME=VALUE"),
        (["--largest", "cpus=0"], "setting largest.cpus: Input should be greater than 0"),
        (["--largest", "cpus"], "setting largest: 'cpus' is not NAME=VALUE"),
        (["--max-tier", "5"], "setting max_tier: Input should be less than or equal to 4"),
        (["--root", ""], "setting root.0: names no directory"),
        (["--template", "a=/x", "--template", "a=/y"], "setting template: 'a' is given twice"),
        (["--home", "../x=/y"], "setting home: the name '../x' cannot be used in NAME=DIR"),
        (["--runtime", "python"], "setting runtime: 'python' is not NAME=IMAGE"),
        (["--server-url", "here"], "setting server_url: is no address: http://HOST:PORT"),
        (["--container-runtime", "/bin/sh"], "setting container_runtime: is no name"),
        (["--workspaces", "many"], "setting workspaces: Input should be a valid integer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_flag_is_one_line_that_says_what_is_wrong(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ws-mcp: {said}")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ROOT", '["/a", 3]', "setting root.1: "),
        ("ROOT", "[", "setting root: is no JSON, though it begins like it"),
        ("TEMPLATE", "{", "setting template: is no JSON"),
        ("TEMPLATE", '{"a": 1}', "setting template.a: "),
        ("RUNTIME", "python", "setting runtime: 'python' is not NAME=IMAGE"),
        ("PULL", "perhaps", "setting pull: "),
    ],
)
def test_a_bad_variable_is_one_line_too(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"WS_MCP_{name}", value)
    assert run(["doctor"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ws-mcp: {said}")


def test_the_help_says_what_the_high_tiers_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run(["stdio", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "3 and 4 are root on the host" in said
    assert "--root DIR" in said
    assert "--size TIER.NAME=VALUE" in said
    assert "--pull, --no-pull" in said


def test_variables_of_others_are_none_of_ours() -> None:
    assert from_environment({"WS_MCP_IMAGE": "x", "WS_MCP_URL": "http://x", "IMAGE": "y"}) == {"image": "x"}


def test_what_dev_containers_may_do_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    found = read("--devcontainer-allow", "initialize-command", "--devcontainer-allow", "run-arg:--device")
    assert found.devcontainer_allow == ("initialize-command", "run-arg:--device")
    assert choices_of(found).devcontainers.allow == found.devcontainer_allow
    assert Settings.model_validate({"devcontainer_allow": "compose, mount:/srv/cache"}).devcontainer_allow == (
        "compose",
        "mount:/srv/cache",
    )
    assert read("--devcontainer-label", "com.example/team=a=b").devcontainer_label == {"com.example/team": "a=b"}
    assert settings_of(vars(parser_of_all().parse_args(["doctor", "--devcontainer-allow", "everything"]))) is None
    assert "'everything' is none of initialize-command" in capsys.readouterr().err


def test_every_word_that_allows_something_is_in_the_page() -> None:
    page = (Path(__file__).parents[1] / "docs" / "devcontainers.md").read_text()
    for word in WORDS:
        assert f"| `{word}" in page, word
