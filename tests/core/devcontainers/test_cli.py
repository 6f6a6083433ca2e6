"""How the dev container CLI is found, called and read; a small program stands for it. The real one: tests/contract."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support.fake_world import INFO

from ws_mcp.core.devcontainers.cli import RealDevcontainerCli
from ws_mcp.core.devcontainers.cli_call import CliTools, arguments_of, engine_environment, lock_of, tools_of
from ws_mcp.core.devcontainers.cli_found import find_cli
from ws_mcp.core.devcontainers.model import Key, Phase
from ws_mcp.core.devcontainers.port import CliCall, CliMissingError, CliProgress, CliResult, Outcome, Verb
from ws_mcp.core.engine.context import Endpoint, TlsFiles
from ws_mcp.core.engine.model import EngineInfo
from ws_mcp.core.errors import InvalidArgumentError

KEY = Key(folder="/home/dev/shop", config="/home/dev/shop/.devcontainer/api/devcontainer.json")
NAMED = ("--workspace-folder", KEY.folder, "--config", KEY.config, "--log-format", "json")
ENGINE = "unix:///run/some/docker.sock"
FRONTEND = "ERROR: failed to solve: failed to do request: Head https://x/v2/docker/dockerfile/manifests/1.4: no route"


def program(directory: Path, name: str, script: str) -> Path:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def cli_of(directory: Path, script: str, *, read_s: float = 60.0) -> RealDevcontainerCli:
    """An adapter whose CLI is `script`; that is asked for its version, too."""
    body = f'[ "$1" = --version ] && echo 0.89.0 && exit\n{script}'
    path = program(directory, "some-cli", body)
    environment = {"PATH": os.environ["PATH"], "WS_MCP_TOKEN": "hunter2", "DOCKER_CONTEXT": "other"}
    return RealDevcontainerCli(
        info=info, setting=str(path), engine=ENGINE, environment=environment, local={"ALLOWED": "yes"}, read_s=read_s
    )


async def info() -> EngineInfo:
    await anyio.lowlevel.checkpoint()
    return INFO


def is_gone(note: Path) -> bool:
    """Whether the process whose number stands in `note` runs no more (a careless init leaves a zombie)."""
    stat = Path(f"/proc/{note.read_text().strip()}/stat")
    return not stat.exists() or stat.read_text().split()[2] == "Z"


def never(phase: Phase, silent_s: float) -> bool:
    """It does not hang."""
    return False


async def up(cli: RealDevcontainerCli, tell: Callable[[CliProgress], None] = print) -> CliResult:
    call = CliCall(verb=Verb.UP, key=KEY, environment={"TEAM": "a", "DOCKER_HOST": "tcp://elsewhere"})
    with anyio.fail_after(20):
        return await cli.run(call, tell, never)


def test_an_up_names_folder_and_definition_and_leaves_no_lock_file() -> None:
    call = CliCall(verb=Verb.UP, key=KEY)
    assert arguments_of(call, CliTools(), has_lock=False) == (
        "up",
        *NAMED,
        "--no-lockfile",
        "--include-merged-configuration",
    )
    assert "--no-lockfile" not in arguments_of(call, CliTools(), has_lock=True)


def test_an_up_takes_all_that_it_can_be_told() -> None:
    call = CliCall(
        verb=Verb.UP,
        key=KEY,
        content=Path("/state/copy/devcontainer.json"),
        removes_existing=True,
        is_expecting=True,
        no_cache=True,
        mounts=("type=volume,source=a,target=/a", "type=bind,source=/b,target=/b"),
    )
    tools = CliTools(docker="podman", compose="podman-compose", has_legacy_builder_only=True, is_root=True)
    assert arguments_of(call, tools, has_lock=True)[7:] == (
        *("--docker-path", "podman", "--docker-compose-path", "podman-compose", "--buildkit", "never"),
        *("--include-merged-configuration", "--update-remote-user-uid-default", "off"),
        *("--override-config", "/state/copy/devcontainer.json"),
        *("--remove-existing-container", "--expect-existing-container", "--build-no-cache"),
        *("--mount", "type=volume,source=a,target=/a", "--mount", "type=bind,source=/b,target=/b"),
    )


def test_a_build_has_options_of_its_own() -> None:
    call = CliCall(verb=Verb.BUILD, key=KEY, no_cache=True, content=Path("/x"), mounts=("type=volume",))
    named = ("--workspace-folder", KEY.folder, "--config", "/x", "--log-format", "json")
    assert arguments_of(call, CliTools(is_root=True), has_lock=True) == ("build", *named, "--no-cache")


def test_the_lock_file_stands_beside_its_definition() -> None:
    assert str(lock_of(KEY.config)) == "/home/dev/shop/.devcontainer/api/devcontainer-lock.json"
    assert str(lock_of("/home/dev/shop/.devcontainer.json")) == "/home/dev/shop/.devcontainer-lock.json"


@pytest.mark.parametrize(
    ("programs", "is_rootless", "wanted"),
    [
        ({"docker"}, False, CliTools(has_legacy_builder_only=True)),
        ({"docker", "podman-compose"}, True, CliTools(docker="podman", compose="podman-compose")),
        (set[str](), False, CliTools(docker="podman")),
    ],
)
def test_podman_is_reached_with_what_fits(programs: set[str], is_rootless: bool, wanted: CliTools) -> None:
    podman = replace(INFO, kind="podman", is_rootless=is_rootless)
    found = tools_of(podman, programs.__contains__, is_root=False)
    assert found == replace(wanted, has_legacy_builder_only=True)
    assert tools_of(INFO, programs.__contains__, is_root=True) == CliTools(is_root=True)


def test_an_engine_behind_tls_is_named_with_its_files() -> None:
    tls = TlsFiles(certificate="/keys/cert.pem", key="/keys/key.pem", verifies=True)
    found = engine_environment(Endpoint(kind="tls", origin="x", host="far", port=2376, tls=tls))
    assert found == {
        "DOCKER_HOST": "tcp://far:2376",
        "CONTAINER_HOST": "tcp://far:2376",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": "/keys",
    }
    assert engine_environment(None) == {}


@pytest.mark.usefixtures("real_io_both")
class TestRuns:
    """With a program that stands for the CLI."""

    async def test_it_gets_the_engine_of_the_server_and_none_of_its_secrets(self, tmp_path: Path) -> None:
        cli = cli_of(tmp_path, f'env > {tmp_path}/env; echo \'{{"outcome":"success"}}\'')
        assert (await up(cli)).outcome is Outcome.SUCCESS
        found = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
        assert found["DOCKER_HOST"] == ENGINE
        assert (found["TEAM"], found["ALLOWED"]) == ("a", "yes")
        assert not {"WS_MCP_TOKEN", "DOCKER_CONTEXT"} & set(found)

    async def test_without_buildkits_frontend_it_is_run_again_with_the_old_builder(self, tmp_path: Path) -> None:
        events = [
            {"type": "start", "level": 3, "timestamp": 1, "text": "Run: docker buildx build -f x ."},
            {"type": "raw", "level": 3, "timestamp": 2, "text": f"#1 [a 2/2] RUN x\n{FRONTEND}\n"},
        ]
        log = "\n".join(json.dumps(event) for event in events)
        (tmp_path / "log").write_text(f"{log}\n")
        cli = cli_of(
            tmp_path,
            f'echo "$*" >> {tmp_path}/calls\ncase "$*" in *\'--buildkit never\'*) echo \'{{"outcome":"success"}}\';;'
            f' *) cat {tmp_path}/log >&2; echo \'{{"outcome":"error"}}\'; exit 1;; esac',
        )
        told: list[CliProgress] = []
        assert (await up(cli, told.append)).outcome is Outcome.SUCCESS
        assert (await up(cli, told.append)).outcome is Outcome.SUCCESS
        # It is known from then on.
        never_used = ["--buildkit never" in line for line in (tmp_path / "calls").read_text().splitlines()]
        assert never_used == [False, True, True]

    async def test_who_says_nothing_for_too_long_is_ended_with_all_that_it_started(self, tmp_path: Path) -> None:
        cli = cli_of(tmp_path, f"echo said >&2; sleep 600 & echo $! > {tmp_path}/child; wait")
        call = CliCall(verb=Verb.BUILD, key=KEY)
        with anyio.fail_after(20):
            result = await cli.run(call, print, lambda phase, silent_s: silent_s > 0)
        assert (result.outcome, result.tail) == (Outcome.STALLED, ("said",))
        assert "said nothing for" in result.reason
        assert is_gone(tmp_path / "child")

    async def test_a_command_ahead_of_a_start_of_podman_is_told_from_other_failures(self, tmp_path: Path) -> None:
        words = "can only create exec sessions on running containers: container state improper"
        answer = '{"outcome":"error","containerId":"c1","description":"An error occurred setting up the container."}'
        said = f"echo 'Error response from daemon: {words}' >&2; echo '{answer}'; exit 1"
        result = await up(cli_of(tmp_path, said))
        assert (result.outcome, result.container) == (Outcome.EARLY, "c1")

    async def test_a_usage_error_is_a_failure_with_its_reason(self, tmp_path: Path) -> None:
        result = await up(cli_of(tmp_path, "echo 'Unknown argument: new-thing' >&2; exit 1"))
        assert result.outcome is Outcome.ERROR
        assert "refused its arguments (new-thing)" in result.reason

    async def test_a_definition_that_cannot_be_read_is_said(self, tmp_path: Path) -> None:
        cli = cli_of(tmp_path, "echo 'Error: Dev container config (/a/b.json) not found.' >&2; exit 1")
        with pytest.raises(InvalidArgumentError, match=r"the definition /a/b\.json is not there"):
            await cli.configuration(KEY, None)

    async def test_what_was_read_is_handed_on(self, tmp_path: Path) -> None:
        cli = cli_of(tmp_path, 'echo \'{"configuration":{"image":"a"},"mergedConfiguration":{}}\'')
        assert await cli.configuration(KEY, None) == {"configuration": {"image": "a"}, "mergedConfiguration": {}}

    async def test_who_reads_too_long_is_ended(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidArgumentError, match="could not be read within"), anyio.fail_after(20):
            await cli_of(tmp_path, "sleep 600", read_s=0.3).configuration(KEY, Path("/x"))

    async def test_a_cli_that_went_away_is_said(self, tmp_path: Path) -> None:
        cli = cli_of(tmp_path, "true")
        assert await cli.version() == "0.89.0"
        (tmp_path / "some-cli").unlink()
        with pytest.raises(CliMissingError, match="make devcontainers"):
            await up(cli)
        with pytest.raises(CliMissingError, match="that the operator named is not there"):
            await cli.version()


@pytest.mark.usefixtures("real_io_both")
class TestFinding:
    """Which CLI is taken, and what is said of one that is not fit."""

    async def found(self, tmp_path: Path, setting: str = "") -> str:
        return (await find_cli(setting, {"PATH": f"{tmp_path}:/bin"}, tmp_path / "own")).path.name

    async def test_the_operators_comes_first_then_path_then_our_own(self, tmp_path: Path) -> None:
        program(tmp_path, "own", "echo 0.87.0")
        assert await self.found(tmp_path) == "own"
        program(tmp_path, "devcontainer", "echo 0.90.1")
        assert await self.found(tmp_path) == "devcontainer"
        program(tmp_path, "chosen", "echo 1.0.0")
        assert await self.found(tmp_path, str(tmp_path / "chosen")) == "chosen"

    @pytest.mark.parametrize(
        ("setting", "scripts", "words"),
        [
            ("", {}, r"which is not installed: run `make devcontainers`"),
            ("/no/such", {}, r"that the operator named is not there .*make devcontainers"),
            ("", {"own": "echo 0.86.1"}, r"is 0\.86\.1, 0\.87\.0 or newer is needed: run `make devcontainers`"),
            ("", {"own": "echo what; exit 3"}, r"does not answer; run `make devcontainers`"),
            ("", {"own": "echo 'no version'"}, r"does not answer; run `make devcontainers`"),
        ],
    )
    async def test_what_cannot_be_used_says_what_to_run(
        self, tmp_path: Path, setting: str, scripts: dict[str, str], words: str
    ) -> None:
        for name, script in scripts.items():
            program(tmp_path, name, script)
        with pytest.raises(CliMissingError, match=words) as caught:
            await self.found(tmp_path, setting)
        assert str(tmp_path) not in str(caught.value)

    @pytest.mark.parametrize(
        ("node", "words"),
        [
            ("echo v18.20.1", r"^Node is v?18\.20\.1, too old for the dev container CLI: install Node 20"),
            ("exit 1", r"^the dev container CLI needs Node: install Node 20"),
            ("", r"^the dev container CLI needs Node: install Node 20"),
        ],
    )
    async def test_its_node_has_to_be_new_enough(self, tmp_path: Path, node: str, words: str) -> None:
        own = program(tmp_path, "own", "echo 0.89.0")
        own.write_text(re.sub("^#!/bin/sh", "#!/usr/bin/env node", own.read_text()))
        if node:
            program(tmp_path, "node", node)
        with pytest.raises(CliMissingError, match=words):
            await find_cli("", {"PATH": f"{tmp_path}"}, own)
