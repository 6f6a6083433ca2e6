"""A chapter of the demo, for container engines: configuration from a template, what changes when that does, a stop."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
from mcp import Client

from ws_mcp.core.workspaces.model import WorkspaceKind
from ws_mcp.edge.place_views import RemoveView, StopView
from ws_mcp.edge.process_views import StartView
from ws_mcp.edge.views import ProvisionView
from ws_mcp.stage import TEMPLATE, Stage
from ws_mcp.transcript import Transcript, there

NAME = "site"
CONFIG = "site.conf"
BEFORE, AFTER = "colour = blue", "colour = green"
KEPT = "written before the template changed"
LEFT_OUT = "templates and stopped workspaces are for containers: without an engine this is left out"


async def tell_of_workspaces(stage: Stage, show: Transcript, client: Client) -> None:
    """All of the chapter, its workspace removed at the end.

    Raises:
        ClaimError: something of it does not hold.
    """
    chapter = _Chapter(stage, show, client)
    if stage.kind is not WorkspaceKind.CONTAINER:
        async with show.step("A workspace from a template"):
            show.note(LEFT_OUT)
        return
    async with show.step("A workspace from a template"):
        await chapter.make()
    async with show.step("The template changes: a drift, and why"):
        await chapter.foretell()
    async with show.step("Made anew: the files stay"):
        await chapter.make_anew()
    async with show.step("Files of a stopped workspace"):
        await chapter.stop()


class _Chapter:
    def __init__(self, stage: Stage, show: Transcript, client: Client) -> None:
        self._stage = stage
        self._show = show
        self._client = client

    async def make(self) -> None:
        await self._write(BEFORE)
        made = await self._provision(template=TEMPLATE, required=[CONFIG])
        self._show.check("it is new", holds=made.change == "created", found=made.change)
        output = await self._run(f"echo {KEPT} > kept.txt; cat /configs/{CONFIG}")
        self._show.check("it has the template's file", holds=output == f"{BEFORE}\n", found=output)

    async def foretell(self) -> None:
        same = await self._provision()
        self._show.check("asked for again it stays as it is", holds=(same.change, same.reasons) == ("none", ()))
        await self._write(AFTER)
        told = await self._provision(dry_run=True)
        self._show.check("a dry run says what would be done", holds=told.change == "recreated", found=told.change)
        because = any("template" in reason for reason in told.reasons)
        self._show.check("and why: the template is another one", holds=because, found=told.reasons)
        output = await self._run(f"cat /configs/{CONFIG}")
        self._show.check("but nothing was done", holds=output == f"{BEFORE}\n", found=output)

    async def make_anew(self) -> None:
        made = await self._provision()
        self._show.check("it was made anew", holds=made.change == "recreated", found=made.change)
        output = await self._run(f"cat /configs/{CONFIG} kept.txt")
        expected = f"{AFTER}\n{KEPT}\n"
        self._show.check("it has the new template and the old files", holds=output == expected, found=output)

    async def stop(self) -> None:
        stopped = await self._show.view(self._client, StopView, "stop_workspace", name=NAME)
        workspace = there(stopped.workspace)
        state = workspace.state
        self._show.answer(f"{workspace.name} {state}")
        self._show.check("it is stopped", holds=state == "stopped", found=state)
        text = await self._show.text(self._client, "workspace_files", action="read", workspace=NAME, path="kept.txt")
        self._show.check("its file is read all the same", holds=text.startswith(f"{KEPT}\n"), found=text)
        gone = await self._show.view(self._client, RemoveView, "remove_workspace", name=NAME, keep_data=False)
        self._show.answer(f"{gone.workspace} {gone.state}, data {gone.data}")
        self._show.check("it is gone with its data", holds=gone.data == "removed", found=gone.data)

    async def _write(self, text: str) -> None:
        file = self._stage.directory / TEMPLATE / CONFIG
        await anyio.to_thread.run_sync(_put, file, f"{text}\n")
        self._show.note(f"the operator's --template {TEMPLATE}=DIR has {CONFIG}: {text}")

    async def _provision(self, **options: object) -> ProvisionView:
        asked = {"options": options} if options else {}
        made = await self._show.view(self._client, ProvisionView, "provision_workspace", name=NAME, **asked)
        why = f": {'; '.join(made.reasons)}" if made.reasons else ""
        self._show.answer(f"{'would be ' if made.is_dry_run else ''}{made.change}{why}")
        if not made.is_dry_run:
            state = there(made.workspace).state
            self._show.check("it runs", holds=state == "running", found=state)
        return made

    async def _run(self, command: str) -> str:
        ran = await self._show.view(
            self._client, StartView, "start_process", workspace=NAME, command=command, wait_s=10
        )
        self._show.answer(ran.output)
        return ran.output


def _put(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
