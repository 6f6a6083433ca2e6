"""T39: work that goes on when its call has ended is in the audit to its end."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import pytest
from support.audit_ground import INSTANCE_KEY, lines_of
from support.edge_client import MODES, ok, open_client
from support.slow_core import SlowCore, SlowJobs
from support.task_client import Tasks, about, begin

from ws_mcp.core.audit.journal import open_journal
from ws_mcp.core.errors import ConflictError
from ws_mcp.core.jobs import open_jobs
from ws_mcp.edge.guards import Guards

pytestmark = pytest.mark.usefixtures("real_io")

SAME = ("principal", "chat", "verb", "arguments", "shown")


async def until_lines(state: Path, count: int) -> list[dict[str, object]]:
    with anyio.fail_after(30):
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
                    with anyio.fail_after(30):
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


async def test_the_cancellation_of_a_task_is_in_the_audit_and_so_is_what_it_ended(tmp_path: Path) -> None:
    async with open_journal(tmp_path, INSTANCE_KEY, clean=str) as journal, open_jobs() as jobs:
        core, guards = SlowCore(SlowJobs(jobs, 0), None), Guards(journal=journal)
        async with open_client(core, MODES[1], guards=guards, extensions=[Tasks()]) as client:
            task = (await begin(client, "provision_workspace", name="app"))["taskId"]
            await about(client, "tasks/cancel", task)
            lines = await until_lines(tmp_path, 7)
            text = str(lines)
    _, call, left, *rest = lines
    assert (call["verb"], left["outcome"]) == ("provision_workspace", "left")
    cancelled = next(line for line in rest if line.get("verb") == "tasks/cancel")
    assert [line["outcome"] for line in rest if line.get("of") == cancelled["seq"]] == ["ok"]
    own = next(line for line in rest if line.get("via") == "own")
    (ended,) = [line for line in rest if line.get("of") == own["seq"]]
    assert (own["arguments"], ended["outcome"], ended["error"]) == (call["arguments"], "failed", "JobCancelledError")
    assert task not in text
