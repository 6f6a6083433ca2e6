"""The official Inspector's command line lists and calls what we have, over stdio and HTTP, in both protocol eras.

Each of its runs is a client of its own. The workspace is a local one: no engine is needed.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from support.npm_tools import INSPECTOR
from support.peers import Json, page_of, project_of, server_argv, server_environment
from support.server_process import HttpServer, open_http

# Most of a run is Node reading the Inspector.
COMPILED = INSPECTOR.modules.parent / "compiled"
VERSIONS = {"legacy": "2025-11-25", "modern": "2026-07-28"}
# What one run starts the next one has to find, also over stdio.
FLAGS = ("--engine", "none", "--allow-host-processes", "--keep-local")
LISTS = {
    "resources/list": ("resources", "ws://containers"),
    "resources/templates/list": ("resourceTemplates", "ws://chats/{chat}/processes"),
    "prompts/list": ("prompts", "start_dev_server"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Asks one server in one era, with a run of the Inspector for each question."""

    inspector: tuple[str, ...]
    target: Sequence[str]
    era: str

    def ask(self, method: str, *more: str) -> Json:
        """The result that it prints; it finds nothing to complain of."""
        flags = ("--method", method, *more, "--protocol-era", self.era, "--format", "json", "--quiet")
        argv = (*self.inspector, *self.target, *flags)
        environment = {**os.environ, "NODE_COMPILE_CACHE": str(COMPILED)}
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)
        assert (done.returncode, done.stderr) == (0, ""), f"{method} in the {self.era} era: {done.stdout}{done.stderr}"
        return cast("Json", cast("Json", json.loads(done.stdout))["result"])

    def call(self, tool: str, arguments: Mapping[str, object]) -> Json:
        """Call a tool; an answer that is an error would end the Inspector with another code."""
        return self.ask("tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))

    def told(self, tool: str, arguments: Mapping[str, object]) -> Json:
        """Call a tool that answers with a structure."""
        return cast("Json", self.call(tool, arguments)["structuredContent"])

    def check_tools(self) -> None:
        """Every provider of models takes them."""
        tools = cast("list[Json]", self.ask("tools/list", "--strict")["tools"])
        assert {"provision_workspace", "start_process", "read_output"} <= {str(tool["name"]) for tool in tools}

    def check_what_there_is(self) -> None:
        """The version of the protocol, and what there is besides tools."""
        assert self.ask("initialize")["protocolVersion"] == VERSIONS[self.era]
        for method, (name, one) in LISTS.items():
            listed = cast("list[Json]", self.ask(method)[name])
            assert one in str(listed), listed

    def start(self) -> tuple[object, object]:
        """Make a workspace and start a process in it; its chat and its id."""
        chat = self.told("provision_workspace", {})["chat"]
        command = "echo hi; exec sleep 600"
        started = self.told("start_process", {"command": command, "wait_s": 0.2, "chat": chat})
        assert started["state"] == "running"
        return chat, started["process_id"]

    def check_process(self, chat: object, process: object) -> None:
        """Read what the process wrote, end it, and remove where it ran."""
        content = cast("list[Json]", self.call("read_output", {"process_id": process, "chat": chat})["content"])
        assert page_of(str(content[0]["text"])).output == "hi\n"
        ended = self.told("signal_process", {"process_id": process, "signal": "KILL", "chat": chat})
        assert (ended["state"], ended["signal"], ended["left"]) == ("ended", "KILL", 0)
        removed = self.told("remove_workspace", {"name": "main", "keep_data": False, "chat": chat})
        assert removed["state"] == "removed"


@pytest.fixture(scope="module")
def http_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[HttpServer]:
    """One server for both eras."""
    with open_http(tmp_path_factory.mktemp("http") / "state", *FLAGS) as server:
        yield server


@pytest.mark.parametrize("era", [pytest.param("legacy", marks=pytest.mark.long), "modern"])  # both: over stdio
@pytest.mark.slow
def test_the_inspector_does_the_main_job_over_http(
    inspector: tuple[str, ...], http_server: HttpServer, era: str
) -> None:
    target = (http_server.url, "--transport", "http", "--header", f"Authorization: Bearer {http_server.token}")
    asker = Asker(inspector=inspector, target=target, era=era)
    asker.check_what_there_is()
    asker.check_tools()
    asker.check_process(*asker.start())


@pytest.mark.slow
def test_over_stdio_one_era_goes_on_where_the_other_was(inspector: tuple[str, ...], tmp_path: Path) -> None:
    state = tmp_path / "state"
    command, *arguments = server_argv("stdio", state, *FLAGS)
    server = {"command": command, "args": arguments, "env": server_environment(), "cwd": str(project_of(state))}
    config = tmp_path / "inspector.json"
    config.write_text(json.dumps({"mcpServers": {"ws": server}}))
    target = ("--config", str(config), "--server", "ws")
    older, newer = (Asker(inspector=inspector, target=target, era=era) for era in VERSIONS)
    older.check_tools()
    newer.check_process(*older.start())
