"""What this server tells of itself: how many calls, how long, what there is, and whether it is fit to serve."""

from __future__ import annotations

import os
import sys
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import anyio

from ws_mcp.core.audit.journal import AuditJournal
from ws_mcp.core.errors import WsError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.metrics import METRICS, Sample
from ws_mcp.core.workspaces.watch import Sight
from ws_mcp.edge.telling import Page, Pages

TICK_S = 1.0
LAGS = 60  # ticks of which the worst is told
STALE_S = 90.0  # a list of the engine that is older is not the truth any more
ASK_S = 2.0  # what all execds together may take
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Seen(Protocol):
    """What is told of the core."""

    @property
    def last_sight(self) -> Sight | None:
        """The container workspaces as they were seen last."""
        ...

    @property
    def places(self) -> Connected:
        """The execds that this server speaks to."""
        ...


class Connected(Protocol):
    """The living connections."""

    def clients(self) -> tuple[ExecdClient, ...]:
        """All of them."""
        ...


class Measures:
    """See `edge.gate.Measure`; and the pages that show what was counted. Made by `open_measures`."""

    def __init__(
        self,
        core: Seen,
        journal: Callable[[], AuditJournal | None],
        policy_problem: Callable[[], str],
        damage: Callable[[], str] = str,
    ) -> None:
        self._core = core
        self._journal = journal
        self._policy_problem = policy_problem
        self._damage = damage
        self._in_flight = 0
        self._lags: deque[float] = deque([0.0], maxlen=LAGS)

    def begin(self) -> None:
        """A call began."""
        self._in_flight += 1

    def end(self, verb: str, outcome: str, seconds: float, rule: str) -> None:
        """It ended."""
        self._in_flight -= 1
        METRICS.count("calls_total", "Tool calls and reads of resources", tool=verb, outcome=outcome)
        METRICS.observe("call_seconds", "How long they took", seconds, tool=verb)
        if rule:
            METRICS.count("denials_total", "Calls that were refused, by the rule", rule=rule)

    @property
    def pages(self) -> Pages:
        """What can be asked for."""
        return {"/metrics": self._metrics, "/livez": self._livez, "/readyz": self._readyz}

    async def watch_the_loop(self) -> None:
        """Notice how late this task is woken: everybody is as late."""
        while True:
            due = anyio.current_time() + TICK_S
            await anyio.sleep(TICK_S)
            self._lags.append(anyio.current_time() - due)

    def problems(self) -> list[str]:
        """Why this server should get no new calls."""
        sight = self._core.last_sight
        found: list[str] = []
        journal = self._journal()
        if trouble := journal.trouble() if journal else "":
            found.append(f"the audit log cannot be written: {trouble}")
        if sight is not None and sight.unknown and (sight.age_s is None or sight.age_s > STALE_S):
            found.append("the engine has not shown its containers for more than 90 s")
        if problem := self._policy_problem():
            found.append(f"the policy: {problem}")
        if damage := self._damage():
            found.append(damage)
        return found

    async def _livez(self) -> Page:
        return Page(status=200, text="ok\n")

    async def _readyz(self) -> Page:
        problems = self.problems()
        return Page(status=503 if problems else 200, text="\n".join((*(problems or ["ready"]), "")))

    async def _metrics(self) -> Page:
        samples = [*self._of_the_server(), *self._of_workspaces(), *await self._of_processes()]
        return Page(status=200, text=METRICS.written(samples), kind=PROMETHEUS)

    def _of_the_server(self) -> list[Sample]:
        journal = self._journal()
        errors = journal.errors if journal else 0
        return [
            Sample(name="calls_in_flight", text="Calls that are being answered", value=self._in_flight),
            Sample(name="loop_lag_seconds", text="Worst delay of the last minute", value=max(self._lags)),
            Sample(name="resident_bytes", text="Memory of this server", value=_resident_bytes()),
            Sample(name="open_fds", text="Open files and sockets", value=_open_files()),
            Sample(name="audit_write_errors", text="Lines that could not be written", value=errors),
        ]

    def _of_workspaces(self) -> list[Sample]:
        sight = self._core.last_sight
        if sight is None:
            return []
        states = Counter(workspace.state.value for found in sight.workspaces.values() for workspace in found)
        text = "Container workspaces of the instance, as seen last"
        age = Sample(
            name="relist_age_seconds",
            text="Since the engine last showed its containers; -1: never",
            value=-1 if sight.age_s is None else sight.age_s,
        )
        return [
            age,
            *(Sample(name="workspaces", text=text, value=n, labels={"state": state}) for state, n in states.items()),
        ]

    async def _of_processes(self) -> list[Sample]:
        """As the connected execds count them."""
        counts: Counter[str] = Counter()

        async def ask(client: ExecdClient) -> None:
            try:
                stats = await client.stats()
            except WsError:
                return  # its processes are not known now
            counts.update(running=stats.running, ended=stats.ended)

        with anyio.move_on_after(ASK_S):
            async with anyio.create_task_group() as tasks:
                for client in self._core.places.clients():
                    tasks.start_soon(ask, client)
        text = "Processes in workspaces that this server is connected to"
        return [
            Sample(name="processes", text=text, value=counts[state], labels={"state": state})
            for state in ("running", "ended")
        ]


@asynccontextmanager
async def open_measures(
    core: Seen,
    journal: Callable[[], AuditJournal | None],
    policy_problem: Callable[[], str],
    damage: Callable[[], str],
) -> AsyncGenerator[Measures]:
    """Count from now on; owns the task that watches the event loop. `journal`: while acts are written down."""
    measures = Measures(core, journal, policy_problem, damage)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(measures.watch_the_loop)
        yield measures
        tasks.cancel_scope.cancel()


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # no /proc: the most that it ever was
        import resource  # noqa: PLC0415 - see above

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def _open_files() -> int:
    return len(list(Path("/dev/fd").iterdir())) - 1  # without the one that looks
