"""What tests of the audit need: acts, the lines that were written, and a disk that takes no more."""

from __future__ import annotations

import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ws_mcp.core.audit.review import entries_of, files_of
from ws_mcp.core.ids import ChatId, Principal, PrincipalId
from ws_mcp.core.policy.acts import Act, Verdict

INSTANCE_KEY = b"k" * 32
YES = Verdict(is_allowed=True, rule="no policy")
NO = Verdict(is_allowed=False, rule="read_only", reason="this server is for reading only")


def act_of(verb: str = "start_process", *, reads: bool = False, **arguments: object) -> Act:
    return Act(
        principal=Principal(id=PrincipalId("alice")),
        chat=ChatId("a" * 24),
        verb=verb,
        is_read_only=reads,
        arguments=arguments,
    )


def lines_of(state: Path) -> list[dict[str, object]]:
    """All lines of a state directory, without what differs from run to run."""
    entries = [entry.fields for file in files_of(state) for entry in entries_of(file)]
    return [{name: value for name, value in entry.items() if name not in ("ts", "ms", "pid")} for entry in entries]


@contextmanager
def full_disk(limit_bytes: int = 0) -> Generator[None]:
    """No file of this process grows beyond so many bytes meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
