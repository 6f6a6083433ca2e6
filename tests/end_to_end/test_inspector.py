"""The Inspector's command line lists and calls the tools, over stdio and HTTP, in both protocol eras."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from support import inspector as installed
from support.instances import IMAGE, Instance
from support.peers import project_of, server_argv, server_environment
from support.server_process import open_http

ERAS = ("legacy", "modern")
Target = Sequence[str]
Json = dict[str, object]


@pytest.fixture(scope="session")
def inspector() -> Path:
    """The Inspector's program; needs node and npm."""
    try:
        return installed.inspector()
    except installed.InspectorMissingError as error:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def stdio_target(instance: Instance, tmp_path: Path) -> Target:
    """How the Inspector is told to start our server."""
    command, *arguments = server_argv("stdio", instance.state, "--image", IMAGE)
    server = {
        "command": command,
        "args": arguments,
        "env": server_environment(),
        "cwd": str(project_of(instance.state)),
    }
    config = tmp_path / "inspector.json"
    config.write_text(json.dumps({"mcpServers": {"ws": server}}))
    return ("--config", str(config), "--server", "ws")


def ask(inspector: Path, target: Target, era: str, method: str, *more: str) -> Json:
    """Run the Inspector once; returns the result that it prints."""
    argv = (
        str(inspector),
        "--cli",
        *target,
        "--method",
        method,
        *more,
        "--protocol-era",
        era,
        "--format",
        "json",
        "-q",
    )
    done = subprocess.run((*argv, "-q"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{method} in the {era} era: {done.stdout}{done.stderr}"
    return cast("Json", cast("Json", json.loads(done.stdout))["result"])


def call(inspector: Path, target: Target, era: str, tool: str, arguments: Mapping[str, object]) -> Json:
    """Call a tool through the Inspector; returns the structured answer."""
    pairs = [part for name, value in arguments.items() for part in ("--tool-arg", f"{name}={value}")]
    result = ask(inspector, target, era, "tools/call", "--tool-name", tool, *pairs)
    assert not result.get("isError"), result
    return cast("Json", result["structuredContent"])


def check_main_job(inspector: Path, target: Target, era: str) -> None:
    """List the tools, make a workspace, and run a process in it."""
    tools = cast("list[Json]", ask(inspector, target, era, "tools/list")["tools"])
    assert {"provision_workspace", "start_process", "read_output"} <= {tool["name"] for tool in tools}
    chat = call(inspector, target, era, "provision_workspace", {"name": "box"})["chat"]
    started = call(inspector, target, era, "start_process", {"command": "echo hi", "chat": chat, "wait_s": 5})
    assert started["output"] == "hi\n"


@pytest.mark.parametrize("era", ERAS)
def test_the_inspector_does_the_main_job_over_stdio(inspector: Path, stdio_target: Target, era: str) -> None:
    check_main_job(inspector, stdio_target, era)


def test_the_inspector_does_the_main_job_over_http_in_both_eras(inspector: Path, instance: Instance) -> None:
    with open_http(instance.state, "--image", IMAGE) as server:
        for era in ERAS:
            check_main_job(
                inspector, (server.url, "--transport", "http", "--header", f"Authorization: Bearer {server.token}"), era
            )


def test_the_inspector_finds_no_schema_that_is_not_portable(inspector: Path, stdio_target: Target) -> None:
    ask(inspector, stdio_target, "modern", "tools/list", "--strict")


def test_the_inspector_asks_for_what_takes_long_by_its_task(
    inspector: Path, stdio_target: Target, instance: Instance
) -> None:
    options = '{"ready": {"command": "sleep 4", "wait_s": 30}}'
    made = call(inspector, stdio_target, "modern", "provision_workspace", {"options": options})
    assert (made["change"], made["is_ready"]) == ("created", True)
    with closing(sqlite3.connect(instance.state / "state.db")) as database:
        assert database.execute("SELECT tool, state FROM tickets").fetchall() == [("provision_workspace", "completed")]
