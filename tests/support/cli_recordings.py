"""What the real dev container CLI wrote, as recorded (`tests/core/devcontainers/recordings`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ws_mcp.core.devcontainers.cli_answer import result_of
from ws_mcp.core.devcontainers.cli_events import EventLog
from ws_mcp.core.devcontainers.port import CliProgress, CliResult

DIRECTORY = Path(__file__).parent.parent / "core" / "devcontainers" / "recordings"
NAMES = tuple(sorted(path.stem for path in DIRECTORY.glob("*.json")))


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One run: what it wrote, and how it ended."""

    code: int
    stdout: bytes
    stderr: bytes


def recording(name: str) -> Recording:
    found: dict[str, Any] = json.loads((DIRECTORY / f"{name}.json").read_text())
    return Recording(
        code=found["code"], stdout="\n".join(found["stdout"]).encode(), stderr="\n".join(found["stderr"]).encode()
    )


def told_of(name: str) -> list[CliProgress]:
    """The progress that a run told, in order."""
    log = EventLog()
    return [told for line in recording(name).stderr.split(b"\n") if (told := log.feed(line))]


def outcome_of(name: str) -> CliResult:
    """What a run came to."""
    found, log = recording(name), EventLog()
    for line in found.stderr.split(b"\n"):
        log.feed(line)
    log.end()
    return result_of(found.stdout, found.code, log)
