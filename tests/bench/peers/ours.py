"""Our own server, with a local workspace (bubblewrap) or with a container."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.bench.peers.side import McpSide, Seen, known, size_of
from tests.support.raw_client import Era, RawClient

WORKSPACE = "bench"


@dataclass(frozen=True)
class Ours(McpSide):
    """`image`: of the container; "" for a local workspace."""

    image: str = ""
    era: Era = "modern"

    @property
    def name(self) -> str:
        return "ws-mcp, container" if self.image else "ws-mcp, local"

    def argv(self, home: Path) -> tuple[str, ...]:
        engine = ("--image", self.image) if self.image else ("--engine", "none")
        return (
            *(sys.executable, "-m", "ws_mcp", "stdio", "--state", str(home / "state"), "--running", "200"),
            *engine,
        )

    def prepare(self, client: RawClient) -> None:
        # Tier 2 has room for 256 processes; each of the hundred is a shell and its child.
        options = {"pids": 1024} if self.image else {}
        client.ok("provision_workspace", name=WORKSPACE, kind="container" if self.image else "local", options=options)

    def start(self, client: RawClient, line: str) -> str:
        answer = client.ok("start_process", command=line, workspace=WORKSPACE, wait_s=0)
        return str(answer.structured["process_id"])

    def read(self, client: RawClient, process: str) -> Seen:
        answer = known(client.call("read_output", process_id=process))
        status = answer.text.rpartition("\n")[2]
        code = re.search(r"exited (\d+)", status)
        return Seen(text=answer.text, size=size_of(answer), exit_code=int(code[1]) if code else None)

    def exit_code(self, client: RawClient, process: str) -> int | None:
        return self.read(client, process).exit_code

    def end(self, client: RawClient, process: str) -> None:
        known(client.call("signal_process", process_id=process, signal="TERM"))

    def list(self, client: RawClient) -> str | None:
        return client.ok("list_processes", limit=200).text

    def clear(self, client: RawClient) -> None:
        client.call("remove_workspace", name=WORKSPACE, keep_data=False)
