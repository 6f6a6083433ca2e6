"""Peers that start processes on this host."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import cast

from tests.bench.peers.side import McpSide, Seen, UnknownProcessError, known, size_of
from tests.support.raw_client import Era, Json, RawClient, RawClientError

PAGE_BYTES = 65_536  # what the server's own documentation reads at once


@dataclass(frozen=True)
class DesktopCommander(McpSide):
    """Its telemetry is switched off before it starts."""

    program: Path
    name: str = "desktop-commander"

    def argv(self, home: Path) -> tuple[str, ...]:
        config = home / ".claude-server-commander" / "config.json"
        config.parent.mkdir(parents=True, exist_ok=True)
        if not config.exists():
            config.write_text(json.dumps({"telemetryEnabled": False}))
        return ("node", str(self.program))

    def start(self, client: RawClient, line: str) -> str:
        text = client.ok("start_process", command=line, timeout_ms=1).text
        found = re.search(r"PID (\d+)", text)
        if found is None:
            raise RawClientError(text[:200])
        return found[1]

    def read(self, client: RawClient, process: str) -> Seen:
        answer = known(client.call("read_process_output", pid=int(process), timeout_ms=1, offset=0))
        code = re.search(r"completed with exit code (\d+)", answer.text)
        return Seen(text=answer.text, size=size_of(answer), exit_code=int(code[1]) if code else None)

    def exit_code(self, client: RawClient, process: str) -> int | None:
        return self.read(client, process).exit_code

    def end(self, client: RawClient, process: str) -> None:
        answer = known(client.call("force_terminate", pid=int(process)))
        if answer.text.startswith("No active session"):
            raise UnknownProcessError(answer.text)

    def list(self, client: RawClient) -> str | None:
        return client.ok("list_sessions").text


@dataclass(frozen=True)
class BackgroundJob(McpSide):
    """It has no shell; each line gets one. Its limit of jobs is lifted to its own maximum."""

    program: Path
    name: str = "mcp-background-job"

    def argv(self, home: Path) -> tuple[str, ...]:
        return (str(self.program),)

    def environment(self, home: Path) -> Mapping[str, str]:
        return {"MCP_BG_MAX_JOBS": "100"}

    def start(self, client: RawClient, line: str) -> str:
        answer = client.ok("execute_command", command=shlex.join(("sh", "-c", line)))
        return str(answer.structured["job_id"])

    def read(self, client: RawClient, process: str) -> Seen:
        answer = known(client.call("get_job_output", job_id=process))
        return Seen(text=str(answer.structured.get("stdout", "")), size=size_of(answer))

    def exit_code(self, client: RawClient, process: str) -> int | None:
        return self.read(client, process).exit_code

    def end(self, client: RawClient, process: str) -> None:
        known(client.call("kill_job", job_id=process))

    def list(self, client: RawClient) -> str | None:
        return client.ok("list_jobs").text


@dataclass(frozen=True)
class CodexExecServer:
    """It speaks JSON-RPC of its own over stdio. It answers one request at a time unless told otherwise."""

    program: Path
    name: str = "codex exec-server"
    era: Era = "legacy"
    _numbers: count[int] = field(default_factory=count)

    def argv(self, home: Path) -> tuple[str, ...]:
        return (str(self.program), "exec-server", "--listen", "stdio", "--concurrent-requests", "16")

    def environment(self, home: Path) -> Mapping[str, str]:
        return {}

    def connect(self, client: RawClient) -> None:
        client.request("initialize", {"clientName": "bench"})
        client.tell({"method": "initialized", "params": {}})

    def prepare(self, client: RawClient) -> None:
        return

    def start(self, client: RawClient, line: str) -> str:
        process = f"p{next(self._numbers)}"
        params: Json = {"processId": process, "argv": ["sh", "-c", line], "cwd": "file:///tmp", "arg0": None}
        params |= {"env": {"PATH": os.environ["PATH"]}, "tty": False, "pipeStdin": False}
        client.request("process/start", params)
        return process

    def read(self, client: RawClient, process: str) -> Seen:
        try:
            answer = client.request(
                "process/read", {"processId": process, "afterSeq": None, "maxBytes": PAGE_BYTES, "waitMs": 0}
            )
        except RawClientError as error:
            if "unknown process" in str(error):
                raise UnknownProcessError(str(error)) from error
            raise
        chunks = cast("list[dict[str, str]]", answer["chunks"])
        text = b"".join(base64.b64decode(chunk["chunk"]) for chunk in chunks).decode(errors="replace")
        code = cast("int | None", answer["exitCode"])
        return Seen(text=text, size=sum(len(chunk["chunk"]) for chunk in chunks), exit_code=code)

    def exit_code(self, client: RawClient, process: str) -> int | None:
        return self.read(client, process).exit_code

    def end(self, client: RawClient, process: str) -> None:
        client.request("process/terminate", {"processId": process})

    def list(self, client: RawClient) -> str | None:
        return None

    def clear(self, client: RawClient) -> None:
        return
