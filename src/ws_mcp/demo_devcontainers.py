"""A chapter of the demo, where the dev container CLI is: a Dockerfile changes, breaks, is repaired."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import anyio.to_thread
from mcp import Client

from ws_mcp.core.devcontainers.cli_found import find_cli
from ws_mcp.core.devcontainers.port import CliMissingError
from ws_mcp.core.workspaces.model import WorkspaceKind
from ws_mcp.edge.devcontainer_views import DevContainerView, RecreateView
from ws_mcp.edge.place_views import ContainersView, RemoveView
from ws_mcp.edge.process_views import StartView
from ws_mcp.stage import Stage
from ws_mcp.transcript import ClaimError, Transcript, there

NAME = "shop"
DEFINITION = '{ "build": { "dockerfile": "Dockerfile" } }\n'
SHOW = "cat /colour; pwd"
WORKING = "working"
WITHOUT_AN_ENGINE = "dev containers are for container engines: without one this is left out"
ELSEWHERE = "dev containers need the engine of this machine, which sees its folders: this is left out"
WITHOUT_DOCKER = "the dev container CLI needs the command line of Docker or Podman: this is left out"


async def tell_of_devcontainers(stage: Stage, show: Transcript, client: Client) -> None:
    """All of the chapter, its dev container removed at the end; one note where something is missing.

    Raises:
        ClaimError: something of it does not hold.
    """
    missing = await what_is_missing(stage)
    if missing:
        async with show.step("A dev container"):
            show.note(missing)
        return
    chapter = _Chapter(stage, show, client)
    async with show.step("A dev container from a Dockerfile"):
        await chapter.make()
    async with show.step("The Dockerfile changes: out of date, and why"):
        await chapter.edit()
    async with show.step("The Dockerfile breaks: the old one stays"):
        await chapter.break_it()
    async with show.step("Repaired, and made anew"):
        await chapter.repair()


async def what_is_missing(stage: Stage) -> str:
    """Why there cannot be a dev container here, in one line; "" if there can."""
    if stage.kind is not WorkspaceKind.CONTAINER:
        return WITHOUT_AN_ENGINE
    if not stage.is_here:
        return ELSEWHERE
    if not any(map(shutil.which, ("docker", "podman"))):
        return WITHOUT_DOCKER
    try:
        await find_cli(stage.settings.devcontainer_cli, os.environ)
    except CliMissingError as error:
        return f"{error}: this is left out"
    return ""


class _Chapter:
    def __init__(self, stage: Stage, show: Transcript, client: Client) -> None:
        self._stage = stage
        self._show = show
        self._client = client
        self._folder = stage.projects / NAME
        self._container = ""

    async def make(self) -> None:
        await self._write("devcontainer.json", DEFINITION)
        await self._dockerfile("RUN echo blue > /colour")
        asked: dict[str, object] = {"folder": str(self._folder), "dry_run": True}
        told = await self._show.view(self._client, RecreateView, "recreate_devcontainer", **asked)
        self._show.answer(f"would be {told.change}")
        self._show.check("a dry run says that it would be made", holds=told.change == "created", found=told.change)
        found = await self._listed()
        self._show.check("it is in the list, and not there yet", holds=found.state == "absent", found=found.state)
        made = await self._recreate()
        self._show.check("it was built and made", holds=made.change == "created", found=made.change)
        await self._check_runs("blue", "a process runs in it, in the folder of the project")

    async def edit(self) -> None:
        await self._dockerfile("RUN echo green > /colour")
        found = await self._listed()
        why = "; ".join(found.reasons)
        self._show.check("it is out of date", holds=found.dirty == "dirty", found=found.dirty)
        self._show.check("and says why: the Dockerfile", holds="Dockerfile" in why, found=why)
        await self._check_runs("blue", "nothing was done to it by itself")

    async def break_it(self) -> None:
        program = self._stage.no_program
        await self._dockerfile(f"RUN {program}")
        error = await self._show.refused(self._client, "recreate_devcontainer", name=NAME)
        self._show.check("the step that failed is named", holds=program in error, found=error)
        found = await self._listed()
        is_same = (found.state, found.container) == ("running", self._container)
        self._show.check("the old container runs on", holds=is_same, found=(found.state, found.container))
        self._show.check("and the list has the error", holds=bool(found.error), found=found.error)
        await self._check_runs("blue", "it answers as before")

    async def repair(self) -> None:
        await self._dockerfile("RUN echo green > /colour")
        old = self._container
        made = await self._recreate()
        is_new = made.change == "recreated" and made.old_container == old != self._container
        self._show.check("another container took its place", holds=is_new, found=made.change)
        self._show.check("the error is gone", holds=not there(made.devcontainer).error)
        await self._check_runs("green", "it is as the Dockerfile says now")
        gone = await self._show.view(self._client, RemoveView, "remove_workspace", name=NAME)
        self._show.answer(f"{gone.workspace} {gone.state}: {gone.note}")
        found = await self._listed()
        self._show.check("it is gone, its definition stays", holds=found.state == "absent", found=found.state)

    async def _recreate(self) -> RecreateView:
        made = await self._show.followed(self._client, RecreateView, "recreate_devcontainer", name=NAME)
        while made.change == WORKING:  # a busy machine: it goes on meanwhile
            made = await self._show.followed(self._client, RecreateView, "recreate_devcontainer", name=NAME)
        why = f": {'; '.join(made.reasons)}" if made.reasons else ""
        self._show.answer(f"{made.change}{why}")
        self._container = there(made.devcontainer).container
        await self._stage.note_images()
        return made

    async def _listed(self) -> DevContainerView:
        listed = await self._show.view(self._client, ContainersView, "list_containers")
        found = next((each for each in listed.devcontainers if each.folder == str(self._folder)), None)
        if found is None:
            raise ClaimError(f"not true: the dev container of {self._folder.name} is in the list")
        why = f": {'; '.join(found.reasons)}" if found.reasons else ""
        self._show.answer(f"{found.name} {', '.join(filter(None, (found.state, found.dirty)))}{why}")
        return found

    async def _check_runs(self, colour: str, claim: str) -> None:
        ran = await self._show.view(self._client, StartView, "start_process", workspace=NAME, command=SHOW, wait_s=10)
        self._show.answer(ran.output)
        expected = f"{colour}\n/workspaces/{NAME}\n"
        self._show.check(claim, holds=ran.output == expected, found=ran.output)

    async def _dockerfile(self, step: str) -> None:
        await self._write("Dockerfile", f"FROM {self._stage.settings.image}\n{step}\n")
        self._show.note(f"the Dockerfile of {NAME} has: {step}")

    async def _write(self, name: str, text: str) -> None:
        await anyio.to_thread.run_sync(_put, self._folder / ".devcontainer" / name, text)


def _put(file: Path, text: str) -> None:
    # What others may write to is not taken for a definition, whatever the umask says.
    for directory in (file.parents[2], file.parents[1], file.parent):
        directory.mkdir(mode=0o755, exist_ok=True)
        directory.chmod(0o755)
    file.write_text(text)
    file.chmod(0o644)
