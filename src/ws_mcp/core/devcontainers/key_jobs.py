"""The jobs that change dev containers: one at a time for each."""

from __future__ import annotations

from typing import TypeVar

from ws_mcp.core.devcontainers.kept import Kept
from ws_mcp.core.devcontainers.model import Acted, Key
from ws_mcp.core.engine.port import Report
from ws_mcp.core.job import JobRequest, StillRunning, Work
from ws_mcp.core.jobs import Jobs

T = TypeVar("T")

GIVEN_UP = "what was being done to it was given up"
STOP_AGAIN = "its container is as it is shown here: call stop_workspace again to stop it"
MAKE = "call recreate_devcontainer to make it"


class KeyJobs:
    """See `Jobs`."""

    def __init__(self, jobs: Jobs, kept: Kept) -> None:
        self._jobs = jobs
        self._kept = kept

    async def run(
        self,
        key: Key,
        digest: str,
        work: Work[T],
        report: Report,
        wait_s: float,
        *,
        is_cancellable: bool = False,
        is_repeatable: bool = False,
    ) -> T | StillRunning:
        """See `Jobs.run` and `JobRequest`."""
        request = JobRequest(
            key=_job_of(key),
            digest=digest,
            what=f"the dev container of {key.folder!r}",
            is_cancellable=is_cancellable,
            is_repeatable=is_repeatable,
        )
        return await self._jobs.run(request, work, report, wait_s)

    async def given_up(self, key: Key, but: str = "") -> Acted | None:
        """What became of one, if a job was at it that could be given up. `but`: not the one of this digest."""
        where = await self._jobs.give_up(_job_of(key), but)
        if not where:
            return None
        now = await self._kept.at(key)
        return Acted(devcontainer=now, warnings=(f"{GIVEN_UP} ({where}); {STOP_AGAIN if now.container else MAKE}",))


def _job_of(key: Key) -> str:
    return f"{key.folder}\0{key.config}"
