"""What a run of the dev container CLI answers: the last JSON line of its output, with what its log told (pure)."""

from __future__ import annotations

import json

from ws_mcp.core.devcontainers.cli_events import EventLog
from ws_mcp.core.devcontainers.cli_words import Said, reason_of
from ws_mcp.core.devcontainers.port import CliResult, Outcome
from ws_mcp.core.engine.record import Record
from ws_mcp.core.ids import ContainerId

# Podman tells of a start before its state says so, which takes longer where the machine is busy.
TOO_EARLY = "can only create exec sessions on running containers"


def answer_in(stdout: bytes, member: str) -> Record | None:
    """The last line that is a JSON object with `member`; other programs write to stdout, too."""
    for line in reversed(stdout.split(b"\n")):
        if not line.lstrip().startswith(b"{"):
            continue
        try:
            answer = Record(json.loads(line))
        except (ValueError, RecursionError):
            continue
        if answer.get(member) is not None:
            return answer
    return None


def result_of(stdout: bytes, code: int, log: EventLog) -> CliResult:
    """What a run that ended by itself came to."""
    answer = answer_in(stdout, "outcome") or Record(None)
    is_ok = code == 0 and answer.text("outcome") == "success"
    merged = answer.record("mergedConfiguration").members()
    failed = Outcome.EARLY if any(TOO_EARLY in line for line in log.said) else Outcome.ERROR
    return CliResult(
        outcome=Outcome.SUCCESS if is_ok else failed,
        reason="" if is_ok else failure_of(answer, code, log),
        tail=tuple(log.tail),
        container=ContainerId(answer.text("containerId")) if answer.text("containerId") else None,
        user=answer.text("remoteUser"),
        path=answer.text("remoteWorkspaceFolder"),
        project=answer.text("composeProjectName"),
        hooks=log.hooks,
        warnings=tuple(log.warnings),
        merged=merged or None,
    )


def stalled_of(log: EventLog, silent_s: float) -> CliResult:
    """What a run came to that was ended because it said nothing for too long."""
    return CliResult(
        outcome=Outcome.STALLED,
        reason=f"the dev container CLI said nothing for {silent_s:.0f} s ({log.phase.value}) and was ended",
        tail=tuple(log.tail),
        hooks=log.hooks,
        warnings=tuple(log.warnings),
    )


def flooded_of(log: EventLog) -> CliResult:
    """What a run came to that was ended because it wrote without end."""
    return CliResult(
        outcome=Outcome.ERROR,
        reason=f"the dev container CLI wrote without end ({log.phase.value}) and was ended: a command prints too much",
        tail=tuple(log.tail),
        hooks=log.hooks,
        warnings=tuple(log.warnings),
    )


def failure_of(answer: Record, code: int, log: EventLog) -> str:
    """Why it failed, in one line."""
    if code < 0 and not answer.keys():
        return (
            f"the dev container CLI was ended by signal {-code}: somebody else did that, or memory ran out; try again"
        )
    said = Said(
        message=answer.text("message") or _thrown(log),
        description=answer.text("description"),
        lines=tuple(log.said),
        shown=tuple(log.tail),
        build=log.build,
        last_of_hook=log.last_of_hook,
    )
    return reason_of(said)


def _thrown(log: EventLog) -> str:
    """The error that ended it; of a run without an answer that stands in the log only."""
    return next((line for line in reversed(log.said) if line.startswith(("Error: ", "Command failed: "))), "")
