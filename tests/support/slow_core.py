"""A core in memory where what makes containers is a real job, which ends when the test says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import anyio

from support.fake_core import FakeCore, FakeDevContainers
from ws_mcp.core.devcontainers.model import RecreateAsk, Recreated, Target
from ws_mcp.core.ids import ContainerId, Scope
from ws_mcp.core.job import JobRequest, Report, StillRunning, Work
from ws_mcp.core.jobs import Jobs
from ws_mcp.core.workspaces.model import Ask, Pending, Provisioned, WorkspaceSpec

T = TypeVar("T")


class SlowJobs:
    """Jobs that do nothing before `go` is set. `wait_s`: of a call; `ended`: how many do not wait any more."""

    def __init__(self, jobs: Jobs, wait_s: float) -> None:
        self._jobs, self.wait_s = jobs, wait_s
        self.begun, self.go = anyio.Event(), anyio.Event()
        self.ended = 0
        self._told: Report | None = None

    async def say(self, phase: str) -> None:
        """Have the job report where it is."""
        assert self._told is not None
        await self._told(phase, 0.5)

    async def run(self, do: Work[T], report: Report) -> T | StillRunning:
        async def work(told: Report) -> T:
            self._told = told
            self.begun.set()
            try:
                await self.go.wait()
            finally:
                self.ended += 1
            return await do(told)

        return await self._jobs.run(JobRequest(key="", digest="", what="it"), work, report, self.wait_s)


class SlowCore(FakeCore):
    """What makes containers is a job."""

    def __init__(self, slow: SlowJobs, fault: Exception | None) -> None:
        super().__init__()
        self._slow = slow
        self.provision_fault = fault
        self.answer = with_container
        self.devcontainers = SlowDevContainers(slow, fault)

    async def provision(self, scope: Scope, spec: WorkspaceSpec, ask: Ask, report: Report) -> Provisioned | Pending:
        async def work(told: Report) -> Provisioned:
            made = await super(SlowCore, self).provision(scope, spec, ask, told)
            assert isinstance(made, Provisioned)
            return made

        done = await self._slow.run(work, report)
        return Pending(phase=done.phase, elapsed_s=done.elapsed_s) if isinstance(done, StillRunning) else done


class SlowDevContainers(FakeDevContainers):
    """See `SlowCore`."""

    def __init__(self, slow: SlowJobs, fault: Exception | None) -> None:
        super().__init__()
        self._slow, self._fault = slow, fault

    async def recreate(
        self, target: Target, ask: RecreateAsk, report: Report, wait_s: float = 45
    ) -> Recreated | StillRunning:
        async def work(told: Report) -> Recreated:
            if self._fault:
                raise self._fault
            made = await super(SlowDevContainers, self).recreate(target, ask, told, wait_s)
            assert isinstance(made, Recreated)
            return made

        return await self._slow.run(work, report)


def with_container(made: Provisioned) -> Provisioned:
    assert made.workspace is not None
    return replace(made, workspace=replace(made.workspace, container=ContainerId("c" * 64)))
