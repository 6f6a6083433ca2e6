"""`ws-mcp doctor`: what was found on this machine, one fact a line, and what to do about what is not as it should be.

It looks and changes nothing; a state directory that does not exist yet is not made.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
from collections.abc import Iterable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import anyio
import anyio.to_thread

from ws_mcp import __version__
from ws_mcp.console import Mark, Style, console, home_path, size_text
from ws_mcp.core.database import SCHEMA
from ws_mcp.core.errors import DamagedStateError, StateError, WsError, one_line
from ws_mcp.core.execd.binaries import NoBinaryError, binary
from ws_mcp.core.host.sandbox import TRIAL
from ws_mcp.core.runtime import Core
from ws_mcp.core.stores.damage import has_state
from ws_mcp.core.workspaces.model import Workspace, WorkspaceState
from ws_mcp.doctor_database import database_facts
from ws_mcp.doctor_devcontainers import devcontainer_facts
from ws_mcp.doctor_engine import engine_facts
from ws_mcp.doctor_own import own_facts
from ws_mcp.doctor_policy import policy_facts
from ws_mcp.doctor_rules import rule_facts
from ws_mcp.doctor_swarm import room_facts, swarm_facts
from ws_mcp.doors import Doors, choices_of, open_core_of, open_doors
from ws_mcp.facts import Fact
from ws_mcp.settings import Settings

PLATFORMS = (("linux", "amd64"), ("linux", "arm64"))
TRY_S = 5.0


async def doctor(settings: Settings) -> int:
    """Print what was found; the exit code is 1 if nothing can be provisioned."""
    shown = console()
    facts: list[Fact] = []

    def say(found: Iterable[Fact]) -> None:
        for fact in found:
            facts.append(fact)
            text = shown.paint(fact.text, Style.RED if fact.is_danger else Style.PLAIN)
            shown.line(f"{shown.mark(fact.mark)} {fact.topic:<12} {text}")
            if fact.advice:
                shown.line(f"                  -> {fact.advice}", Style.DIM)

    say([_python()])
    choices = choices_of(settings)
    state, rules = choices.state, choices.workspaces
    say(state_facts := await _all_of_state(settings, state))
    say(of_policy := await anyio.to_thread.run_sync(policy_facts, settings))
    say(of_own := await anyio.to_thread.run_sync(own_facts, settings))
    say(_programs())
    async with open_doors(settings) as doors:
        engine = doors.engine
        async with shown.progress("asking the container engine"):
            say(of_engine := await engine_facts(settings.engine, engine, rules))
        if engine is not None:
            say(await anyio.to_thread.run_sync(partial(rule_facts, rules, has_policy=settings.policy is not None)))
            async with shown.progress("asking the dev container CLI"):
                say(await devcontainer_facts(choices.devcontainers, state, engine))
        async with shown.progress("asking the nodes of the swarm"):
            say(await swarm_facts(doors.swarm))
        say(local_facts := await _local(settings))
        if _has_state(settings, state_facts):
            async with shown.progress("asking the execd of each workspace"):
                say(await _workspaces(settings, doors))
    kinds = (("containers", of_engine), ("local directories", local_facts))
    can = [kind for kind, found in kinds if found[0].mark is Mark.OK]
    is_bad = not can or any(fact.mark is Mark.BAD for fact in facts)
    shown.line()
    shown.line(_verdict(can, of_policy, of_own, is_bad=is_bad), Style.RED if is_bad else Style.GREEN)
    return int(is_bad)


def _verdict(can: Sequence[str], of_policy: Iterable[Fact], of_own: Iterable[Fact], *, is_bad: bool) -> str:
    verdict = "no workspace can be made here" if is_bad else f"workspaces can be {' or '.join(can)}"
    if any(fact.mark is Mark.BAD for fact in of_policy):
        verdict = "the policy has to be changed first"
    elif any(fact.mark is Mark.BAD for fact in of_own):
        verdict = "the server's own files have to be put in order first"
    return verdict


def _python() -> Fact:
    parts = (f"{name} {version(name)}" for name in ("mcp", "docker", "anyio", "pydantic"))
    return Fact("ws-mcp", f"{__version__} on Python {platform.python_version()}; {', '.join(parts)}")


def _state(directory: Path) -> list[Fact]:
    name = home_path(str(directory))
    try:
        found = directory.stat()
        size = sum(file.stat().st_size for file in directory.glob("state.db*"))
    except FileNotFoundError:
        return [Fact("state", f"{name} is not there yet: it will be made on first use")]
    except OSError as error:
        return [Fact("state", f"{name} cannot be read: {error.strerror}", Mark.BAD, "choose another with --state")]
    if found.st_uid != os.getuid() or not directory.is_dir():
        return [Fact("state", f"{name} is not yours", Mark.BAD, "choose another with --state")]
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        advice = "the next server sets it to 700; look who could read it until now"
        return [Fact("state", f"{name} has mode {mode:o}", Mark.WARN, advice)]
    return [Fact("state", f"{name}, yours, mode {mode:o}, {size_text(size)}")]


async def _all_of_state(settings: Settings, directory: Path) -> list[Fact]:
    of_directory = await anyio.to_thread.run_sync(_state, directory)
    return [*of_directory, *await database_facts(settings.state_database)]


def _has_state(settings: Settings, facts: Iterable[Fact]) -> bool:
    is_there = bool(settings.state_database) or has_state(settings.state.expanduser())
    return is_there and all(fact.mark is not Mark.BAD for fact in facts)


def _programs() -> list[Fact]:
    facts: list[Fact] = []
    for system, architecture in PLATFORMS:
        try:
            found = binary(system, architecture)
        except NoBinaryError as error:
            facts.append(Fact("execd", f"none for {system}/{architecture}", Mark.WARN, str(error)))
        else:
            text = f"{system}/{architecture}: {found.digest}, {size_text(found.path.stat().st_size)}"
            facts.append(Fact("execd", text))
    return facts


async def _local(settings: Settings) -> list[Fact]:
    found = shutil.which("bwrap")
    problem = await _bubblewrap_problem(found) if found else "bubblewrap is not installed"
    if not problem:
        network = "this machine's network" if settings.local_network else "no network"
        return [Fact("sandbox", f"bubblewrap works; local workspaces see {network}, no home, no limit on memory")]
    if settings.allow_host_processes and not found:
        return [Fact("sandbox", f"{problem}; local workspaces run as you, unconfined (--allow-host-processes)")]
    advice = "install bubblewrap (Debian: apt install bubblewrap) to have workspaces without an engine"
    if found:
        advice = "allow user namespaces (see your kernel's and container's settings), or use a container engine"
    return [Fact("sandbox", problem, Mark.WARN, advice)]


async def _bubblewrap_problem(program: str) -> str:
    with anyio.move_on_after(TRY_S):
        try:
            tried = await anyio.run_process([program, *TRIAL], check=False)
        except OSError as error:
            return f"bubblewrap cannot be started: {error.strerror}"
        words = one_line(tried.stderr.decode(errors="replace"))
        return f"bubblewrap does not work: {words}" if tried.returncode else ""
    return f"bubblewrap did not answer within {TRY_S:.0f} s"


async def _workspaces(settings: Settings, doors: Doors) -> list[Fact]:
    try:
        async with open_core_of(choices_of(settings), doors) as core:
            return await _asked(core)
    except DamagedStateError as error:
        return [Fact("state", str(error).partition(":")[0], Mark.BAD, "ws-mcp repair shows what can be saved", True)]
    except StateError as error:
        return [Fact("state", str(error), Mark.BAD)]


async def _asked(core: Core) -> list[Fact]:
    facts: dict[str, Fact] = {}
    try:
        places = [workspace for _, workspace in await core.all_workspaces()]
    except WsError as error:
        return [Fact("workspaces", f"cannot be listed: {error}", Mark.WARN)]
    async with anyio.create_task_group() as tasks:
        for workspace in places:
            tasks.start_soon(_ask, core, workspace, facts)
    text = f"{core.state.instance.id}, schema {SCHEMA}, workspaces: {len(places)}"
    rooms = core.placement.survey.rooms.values() if core.placement is not None else ()
    return [Fact("instance", text), *(facts[workspace.place] for workspace in places), *room_facts(rooms)]


async def _ask(core: Core, workspace: Workspace, facts: dict[str, Fact]) -> None:
    name = f"{workspace.name} ({workspace.kind.value}, {workspace.place[:14]})"
    if workspace.state is not WorkspaceState.RUNNING:
        advice = workspace.obstacle or "provision_workspace starts it"
        facts[workspace.place] = Fact("workspace", f"{name} is {workspace.state.value}: {advice}")
        return
    try:
        client = await core.client(workspace)
        stats = await client.stats()
        began = anyio.current_time()
        await client.call("ping", {}, timeout_s=TRY_S)
    except WsError as error:
        advice = "if it stays so, remove_workspace and provision_workspace make it again; its data is kept"
        facts[workspace.place] = Fact("workspace", f"{name}: {error}", Mark.WARN, advice)
        return
    took_ms = (anyio.current_time() - began) * 1000
    says = f"{took_ms:.1f} ms, {stats.running} running, {stats.ended} ended, {size_text(stats.rss_bytes)} resident"
    facts[workspace.place] = Fact("workspace", f"{name}: execd {client.hello.version} answers in {says}")
