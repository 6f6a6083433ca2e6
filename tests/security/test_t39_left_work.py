"""T39: work that goes on when its call has ended is in the audit to its end."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
from support.audit_ground import INSTANCE_KEY, lines_of
from support.edge_client import MODES, ok, open_client
from support.fake_core import FakeCore, FakeDevContainers

from ws_mcp.core.audit.journal import open_journal
from ws_mcp.core.devcontainers.model import RecreateAsk, Recreated, Target
from ws_mcp.core.errors import ConflictError
from ws_mcp.core.ids import ContainerId, Scope
from ws_mcp.core.job import JobRequest, Report, StillRunning, Work
from ws_mcp.core.jobs import Jobs, open_jobs
from ws_mcp.core.workspaces.model import Ask, Pending, Provisioned, WorkspaceSpec
from ws_mcp.edge.guards import Guards

pytestmark = pytest.mark.usefixtures("real_io")

SAME = ("principal", "chat", "verb", "arguments", "shown")
T = TypeVar("T")


class SlowJobs:
    """Jobs that do nothing before `go` is set. `wait_s`: of a call."""

    def __init__(self, jobs: Jobs, wait_s: float) -> None:
        self._jobs, self._wait_s = jobs, wait_s
        self.begun, self.go = anyio.Event(), anyio.Event()

    async def run(self, do: Work[T], report: Report) -> T | StillRunning:
        async def work(told: Report) -> T:
            self.begun.set()
            await self.go.wait()
            return await do(told)

        return await self._jobs.run(JobRequest(key="", digest="", what="it"), work, report, self._wait_s)


class SlowCore(FakeCore):
    """What makes containers is a job."""

    def __init__(self, slow: SlowJobs, fault: Exception | None) -> None:
        super().__init__()
        self._slow = slow
        self.provision_fault = fault
        self.answer = _with_container
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


def _with_container(made: Provisioned) -> Provisioned:
    assert made.workspace is not None
    return replace(made, workspace=replace(made.workspace, container=ContainerId("c" * 64)))


async def until_lines(state: Path, count: int) -> list[dict[str, object]]:
    with anyio.fail_after(5):
        while len(lines := lines_of(state)) < count:  # noqa: ASYNC110 - a file tells nobody
            await anyio.sleep(0.01)
    return lines


@pytest.mark.parametrize("fault", [None, ConflictError("it is another")])
@pytest.mark.parametrize("is_cancelled", [True, False])
@pytest.mark.parametrize(
    ("tool", "made"),
    [
        ("provision_workspace", {"container": "c" * 64}),
        ("recreate_devcontainer", {"container": "e" * 64, "old_container": "d" * 64}),
    ],
)
@pytest.mark.parametrize("mode", MODES)
async def test_work_that_outlives_its_call_is_said_to_go_on_and_what_became_of_it_comes_when_it_ends(
    mode: str, tool: str, made: dict[str, str], *, is_cancelled: bool, fault: ConflictError | None, tmp_path: Path
) -> None:
    async with open_journal(tmp_path, INSTANCE_KEY, clean=str) as journal, open_jobs() as jobs:
        slow = SlowJobs(jobs, 60 if is_cancelled else 0)
        async with open_client(SlowCore(slow, fault), mode, guards=Guards(journal=journal)) as client:
            if is_cancelled:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(partial(ok, client, tool, name="app"))
                    with anyio.fail_after(5):
                        await slow.begun.wait()
                    tasks.cancel_scope.cancel()
            else:
                assert (await ok(client, tool, name="app"))["change"] == "working"
            _, intent, left = await until_lines(tmp_path, 3)
            assert (left["of"], left["outcome"]) == (intent["seq"], "left")
            slow.go.set()
            *_, own, ended = await until_lines(tmp_path, 5)
    assert (own["via"], own["rule"]) == ("own", "its call left")
    assert [own.get(name) for name in SAME] == [intent.get(name) for name in SAME]
    assert ended["of"] == own["seq"]
    if fault:
        assert (ended["outcome"], ended["error"]) == ("failed", "ConflictError")
    else:
        assert (ended["outcome"], ended["made"]) == ("ok", made)
