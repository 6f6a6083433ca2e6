"""Peers that start processes in containers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import join
from typing import cast

from tests.bench.peers.side import McpSide, Seen, UnknownProcessError, known, size_of
from tests.support.docker_cli import docker
from tests.support.raw_client import Answer, Json, RawClient, RawClientError

LABEL = "dev.ws-mcp.bench-peers"
MACHINE = "wsmcp-bench-peers"


@dataclass(frozen=True)
class ServerDocker(McpSide):
    """One container a process."""

    program: Path
    image: str
    name: str = "mcp-server-docker"

    def argv(self, home: Path) -> tuple[str, ...]:
        return (str(self.program),)

    def start(self, client: RawClient, line: str) -> str:
        command = join(("sh", "-c", line))
        answer = client.ok("run_container", image=self.image, command=command, labels={LABEL: "1"})
        return str(_structured(answer)["id"])

    def read(self, client: RawClient, process: str) -> Seen:
        answer = known(client.call("fetch_container_logs", container_id=process))
        logs = cast("list[str]", _structured(answer)["logs"])
        return Seen(text="\n".join(logs), size=size_of(answer))

    def exit_code(self, client: RawClient, process: str) -> int | None:
        text = client.ok("list_containers", all=True).text
        found = re.search(rf'"id": "{process}".*?"ExitCode": (\d+)', text, re.DOTALL)
        return int(found[1]) if found else None

    def end(self, client: RawClient, process: str) -> None:
        known(client.call("remove_container", container_id=process, force=True))

    def list(self, client: RawClient) -> str | None:
        return client.ok("list_containers").text

    def clear(self, client: RawClient) -> None:
        found = docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
        if found:
            docker("rm", "--force", "--volumes", *found)


@dataclass(frozen=True)
class SandboxEnv(McpSide):
    """One container; a shell of its own for each process."""

    program: Path
    image: str
    name: str = "sandbox-env-mcp"

    def argv(self, home: Path) -> tuple[str, ...]:
        return (str(self.program),)

    def environment(self, home: Path) -> Mapping[str, str]:
        return {
            "SANDBOX_MCP_STORAGE_WORK_HOME": str(home / "work"),
            "SANDBOX_MCP_DOCKER_AUTO_NETWORK": "",
            "SANDBOX_MCP_DEFAULT_MACHINE_ENABLED": "false",
        }

    def prepare(self, client: RawClient) -> None:
        named = {"name": MACHINE, "image": self.image, "purpose": "bench"}
        client.ok("env", action="docker_run", params=named)

    def start(self, client: RawClient, line: str) -> str:
        made = _structured(client.ok("shell_new", machine=MACHINE))
        if "shell_id" not in made:
            raise RawClientError(str(made))
        shell = str(made["shell_id"])
        client.ok("shell_exec", shell_id=shell, command=join(("sh", "-c", line)), wait=False)
        return shell

    def read(self, client: RawClient, process: str) -> Seen:
        answer = known(client.call("shell_read", shell_id=process))
        if "Unknown shell_id" in answer.text[:200]:
            raise UnknownProcessError(answer.text[:200])
        found = re.search(r'"exit_code": ?(\d+)', answer.text)
        return Seen(text=answer.text, size=size_of(answer), exit_code=int(found[1]) if found else None)

    def exit_code(self, client: RawClient, process: str) -> int | None:
        return self.read(client, process).exit_code

    def end(self, client: RawClient, process: str) -> None:
        if "error" in _structured(client.call("shell_remove", shell_id=process)):
            raise UnknownProcessError(process)

    def list(self, client: RawClient) -> str | None:
        return client.ok("shell_list").text

    def clear(self, client: RawClient) -> None:
        docker("rm", "--force", "--volumes", MACHINE)


def _structured(answer: Answer) -> Json:
    """The structured part, or the text read as JSON.

    Raises:
        RawClientError: it is no JSON.
    """
    if answer.structured:
        return answer.structured
    try:
        return cast("Json", json.loads(answer.text))
    except ValueError as error:
        raise RawClientError(answer.text[:300]) from error
