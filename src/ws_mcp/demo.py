"""`ws-mcp demo`: the main job through a real MCP client over stdio, as a transcript whose claims are checked."""

from __future__ import annotations

import os
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.request import urlopen

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import TaskStatus
from mcp import Client, MCPError

from ws_mcp.console import Console, Mark, Style, console
from ws_mcp.core.errors import WsError, one_line
from ws_mcp.core.processes.render import span
from ws_mcp.core.workspaces.model import WorkspaceKind
from ws_mcp.demo_devcontainers import tell_of_devcontainers
from ws_mcp.demo_server import Server, log_lines
from ws_mcp.demo_workspaces import tell_of_workspaces
from ws_mcp.edge.place_views import RemoveView
from ws_mcp.edge.process_views import ProcessesView, SignalView, StartView
from ws_mcp.edge.views import ProvisionView
from ws_mcp.settings import Settings
from ws_mcp.stage import Stage, open_stage
from ws_mcp.transcript import ClaimError, Transcript, first_of, there

HELLO = "hello from the workspace"
TICKER = 'i=0; while :; do i=$((i+1)); echo "tick $i"; sleep 0.1; done'
FETCH_S = 5.0
DEAD_S = 5.0  # until a killed server is gone
DEMO_S = 120.0  # it takes about fifteen; whoever waits longer wants to know


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """A web server that exists in the workspace, and how to ask it from inside."""

    serve: str
    fetch: str


async def demo(settings: Settings) -> int:
    """Run the demo; the exit code is 0 if everything that it claims was true, 130 if it was stopped."""
    shown = console()
    code = 130
    async with anyio.create_task_group() as tasks:
        await tasks.start(_stop_on_signal, tasks.cancel_scope, shown)
        code = await _told(settings, shown)
        tasks.cancel_scope.cancel()
    return code


async def _stop_on_signal(
    scope: anyio.CancelScope, shown: Console, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            shown.line()
            shown.line("stopped; clearing away what the demo made ...", Style.YELLOW)
            scope.cancel()


async def _told(settings: Settings, shown: Console) -> int:
    shown.line("ws-mcp demo: the main job, through a real MCP client over stdio", Style.BOLD)
    show = Transcript(shown)
    began, problem = anyio.current_time(), ""
    try:
        with anyio.fail_after(DEMO_S):
            async with open_stage(settings) as stage:
                shown.line(f"in {stage.words}")
                await _play(Play(stage, show), shown)
    except* (ClaimError, WsError, MCPError) as group:
        problem = str(first_of(group))
    except* TimeoutError:
        problem = f"it was not over within {DEMO_S:.0f} s"
    await anyio.lowlevel.checkpoint()  # a stop can look like a call that failed: then this ends here
    shown.line()
    if problem:
        shown.line(f"{shown.mark(Mark.BAD)} {problem}")
        return 1
    show.sum_up()
    shown.line(f"all of it held, in {span(anyio.current_time() - began)}; nothing of the demo is left", Style.GREEN)
    return 0


async def _play(play: Play, shown: Console) -> None:
    try:
        async with play.stage.server() as server:
            await play.before(server)
        await play.after()
    except BaseException:
        for line in log_lines(play.stage.directory):
            shown.line(f"   server: {line}", Style.DIM)
        raise


class Play:
    """The steps, and what has to be remembered from one to the next."""

    def __init__(self, stage: Stage, show: Transcript) -> None:
        self.stage = stage
        self._show = show
        self._serving = self._ticking = self._short = self._ticks = ""
        self._offset = 0

    async def before(self, server: Server) -> None:
        """All that happens before the server is killed, and that."""
        client, show = server.client, self._show
        async with show.step("A chat gets a workspace"):
            url = await self._provision(client)
            web = await self._web(client)
        async with show.step("Processes that go on in the background"):
            await self._start(client, web)
        async with show.step("Output by offset: each byte once"):
            await self._read(client)
        async with show.step("A short command in one call"):
            await self._run(client, web)
            if url and self.stage.is_here:
                await self._fetch_from_here(url)
        async with show.step("Signals reach the whole tree"):
            await self._signal(client)
        async with show.step("kill -9 of the server"):
            await self._kill(server)

    async def after(self) -> None:
        """What the next server finds."""
        began = anyio.current_time()
        async with AsyncExitStack() as stack:
            async with self._show.step("A new server finds everything"):
                client = (await stack.enter_async_context(self.stage.server())).client
                self._show.note(f"the next server was there after {span(anyio.current_time() - began)}")
                await self._find(client)
            async with self._show.step("Reading goes on at the same offset"):
                await self._read_on(client)
            await tell_of_workspaces(self.stage, self._show, client)
            await tell_of_devcontainers(self.stage, self._show, client)
            async with self._show.step("Clearing away"):
                await self._remove(client)

    async def _provision(self, client: Client) -> str:
        is_container = self.stage.kind is WorkspaceKind.CONTAINER
        asked: dict[str, object] = {"ports": [self.stage.port]} if is_container else {"kind": "local"}
        made = await self._show.view(client, ProvisionView, "provision_workspace", **asked)
        found = there(made.workspace)
        ports = [f"port {port.port} at {port.url}" for port in found.ports]
        more = [f"sandbox {found.sandbox}", *ports] if found.sandbox else ports
        self._show.answer(f"{made.change}: {', '.join((found.name, found.kind, f'tier {found.tier}', *more))}")
        self._show.check("it runs", holds=found.state == "running", found=found.state)
        return found.ports[0].url if found.ports else ""

    async def _web(self, client: Client) -> Web:
        probe = "busybox --list 2>/dev/null | grep -x httpd || command -v python3"
        output = (await self._show.view(client, StartView, "start_process", command=probe, wait_s=10)).output
        self._show.answer(output)
        port, url = self.stage.port, f"http://127.0.0.1:{self.stage.port}/"
        page = f"echo {HELLO} > index.html"
        if "httpd" in output:
            serve = f"{page}; busybox httpd -f -v -p {port} 2>&1 | tee access.log"
            return Web(serve=serve, fetch=f"busybox wget -qO- {url}")
        if "python3" in output:
            fetch = f"python3 -c \"import urllib.request as u; print(u.urlopen('{url}').read().decode(), end='')\""
            return Web(serve=f"{page}; python3 -u -m http.server {port} 2>&1 | tee access.log", fetch=fetch)
        self._show.note("neither busybox httpd nor python3 is in the workspace: two sleepers stand for a web server")
        return Web(serve="sleep 600 | sleep 600", fetch=f"echo {HELLO}")

    async def _start(self, client: Client, web: Web) -> None:
        serving = await self._show.view(client, StartView, "start_process", command=web.serve, wait_s=0.5)
        self._show.answer(serving.status)
        ticking = await self._show.view(client, StartView, "start_process", command=TICKER, wait_s=0)
        self._show.answer(ticking.status)
        self._serving, self._ticking = serving.process_id, ticking.process_id
        states = (serving.state, ticking.state)
        self._show.check("both run on after their calls", holds=states == ("running", "running"), found=states)

    async def _read(self, client: Client) -> None:
        for more in ({}, {"wait_for": "output", "wait_s": 5}, {"wait_for": "pattern", "pattern": "^tick 15$"}):
            await self._read_more(client, **more)
        self._check_ticks("the reads join without a gap")
        self._show.check("the pattern was waited for", holds="tick 15\n" in self._ticks, found=self._ticks[-80:])

    async def _read_more(self, client: Client, **more: object) -> str:
        text, self._offset = await self._show.read(client, self._ticking, offset=self._offset, **more)
        self._ticks += text
        return text

    def _check_ticks(self, claim: str) -> None:
        lines = self._ticks.splitlines()
        is_counting = lines == [f"tick {number}" for number in range(1, len(lines) + 1)]
        holds = is_counting and self._offset == len(self._ticks)
        self._show.check(claim, holds=holds, found=f"{self._offset} {self._ticks[-80:]}")

    async def _run(self, client: Client, web: Web) -> None:
        short = await self._show.view(client, StartView, "start_process", command=f"{web.fetch}; exit 3", wait_s=10)
        self._short = short.process_id
        self._show.answer(f"{short.output}{short.status}")
        self._show.check("its output came with the call", holds=HELLO in short.output, found=short.output)
        self._show.check("its exit code is 3", holds=short.exit_code == 3, found=short.exit_code)

    async def _fetch_from_here(self, url: str) -> None:
        def fetch() -> str:
            with urlopen(url, timeout=FETCH_S) as reply:  # noqa: S310 - one of our own published ports
                return str(reply.read().decode())

        try:
            body = await anyio.to_thread.run_sync(fetch)
        except OSError as error:
            self._show.note(f"the published port is not reached from this machine: {one_line(str(error))}")
            return
        self._show.answer(f"GET {url} from this machine: {one_line(body)}")
        self._show.check("the published port answers here", holds=HELLO in body, found=body)

    async def _signal(self, client: Client) -> None:
        asked: dict[str, object] = {"process_id": self._serving, "signal": "TERM", "grace_s": 3}
        ended = await self._show.view(client, SignalView, "signal_process", **asked)
        self._show.answer(f"{ended.status}: {ended.signalled} signalled, {ended.gone} gone, {ended.left} left")
        self._show.check("the shell and its children are gone", holds=ended.gone > 1 and ended.left == 0, found=ended)

    async def _kill(self, server: Server) -> None:
        os.kill(server.pid, signal.SIGKILL)
        self._show.note(f"the server (pid {server.pid}) got SIGKILL: it could neither save nor say anything")
        with anyio.move_on_after(DEAD_S) as waiting:
            await server.gone()
        self._show.check("it answers no more", holds=not waiting.cancelled_caught)

    async def _find(self, client: Client) -> None:
        listed = await self._show.view(client, ProcessesView, "list_processes")
        found = {process.process_id: process for process in listed.processes}
        for process in listed.processes:
            self._show.answer(f"{process.process_id} {process.status}: {process.command}")
        ours = {self._ticking, self._serving, self._short}
        self._show.check("the same chat has the same process ids", holds=ours <= set(found), found=sorted(found))
        self._show.check("the ticker never stopped", holds=found[self._ticking].state == "running")
        ends = (found[self._short].exit_code, found[self._serving].state)
        self._show.check("what had ended still says how", holds=ends == (3, "ended"), found=ends)

    async def _read_on(self, client: Client) -> None:
        written = (await self._read_more(client)).count("\n")
        self._show.check(f"{written} ticks that nobody read were kept", holds=written > 0)
        await self._read_more(client, wait_for="output", wait_s=5)
        self._check_ticks("no tick is missing or there twice")

    async def _remove(self, client: Client) -> None:
        gone = await self._show.view(client, RemoveView, "remove_workspace", name="main", keep_data=False)
        self._show.answer(f"{gone.workspace} {gone.state}: {gone.ended_processes} ended with it, data {gone.data}")
        self._show.check("the workspace is gone", holds=gone.state == "removed", found=gone.state)
