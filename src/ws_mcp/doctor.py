"""`ws-mcp doctor`: what was found on this machine, one fact a line, and what to do about what is not as it should be.

It looks and changes nothing; a state directory that does not exist yet is not made.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import anyio
import anyio.to_thread

from ws_mcp import __version__
from ws_mcp.console import Mark, Style, console, home_path, size_text
from ws_mcp.core.database import SCHEMA
from ws_mcp.core.engine.context import resolve_endpoint
from ws_mcp.core.engine.fill import EMPTY_IMAGE
from ws_mcp.core.engine.model import EngineInfo
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import StateError, WsError, one_line
from ws_mcp.core.execd.binaries import NoBinaryError, binary
from ws_mcp.core.host.sandbox import TRIAL
from ws_mcp.core.runtime import Core, open_core
from ws_mcp.core.workspaces.model import OBSTACLES, Workspace, WorkspaceState
from ws_mcp.doors import choices_of, open_engine
from ws_mcp.settings import Settings

# The newest fix that matters to what ws-mcp does with an engine; older ones still work.
FLOORS = {"docker": ((29, 5, 1), "CVE-2026-41567"), "podman": ((6, 1, 2), "CVE-2025-11395")}
PLATFORMS = (("linux", "amd64"), ("linux", "arm64"))
SYS_RESOURCE = 24  # capabilities(7)
SHOWN_IMAGES, TRY_S = 6, 5.0


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was found; `advice`: what to do about it, empty if nothing."""

    topic: str
    text: str
    mark: Mark = Mark.OK
    advice: str = ""


async def doctor(settings: Settings) -> int:
    """Print what was found; the exit code is 1 if nothing can be provisioned."""
    shown = console()
    facts: list[Fact] = []

    def say(found: Iterable[Fact]) -> None:
        for fact in found:
            facts.append(fact)
            shown.line(f"{shown.mark(fact.mark)} {fact.topic:<10} {fact.text}")
            if fact.advice:
                shown.line(f"                -> {fact.advice}", Style.DIM)

    say([_python()])
    state = choices_of(settings).state
    say(state_facts := await anyio.to_thread.run_sync(_state, state))
    say(_programs())
    async with open_engine(settings) as engine:
        async with shown.progress("asking the container engine"):
            say(engine_facts := await _engine(settings, engine))
        say(local_facts := await _local(settings))
        if state_facts[0].mark is not Mark.BAD and (state / "state.db").exists():
            async with shown.progress("asking the execd of each workspace"):
                say(await _workspaces(settings, engine))
    kinds = (("containers", engine_facts), ("local directories", local_facts))
    can = [kind for kind, found in kinds if found[0].mark is Mark.OK]
    is_bad = not can or any(fact.mark is Mark.BAD for fact in facts)
    verdict = "no workspace can be made here" if is_bad else f"workspaces can be {' or '.join(can)}"
    shown.line()
    shown.line(verdict, Style.RED if is_bad else Style.GREEN)
    return int(is_bad)


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


async def _engine(settings: Settings, engine: Engine | None) -> list[Fact]:
    if engine is None:
        return [Fact("engine", "none is wanted (--engine none)", Mark.WARN)]
    try:
        endpoint = await anyio.to_thread.run_sync(resolve_endpoint, settings.engine, os.environ)
        info = await engine.info()
        images = await engine.list_images()
    except WsError as error:
        return [Fact("engine", str(error), Mark.WARN, "install Docker or Podman, or name its endpoint with --engine")]
    names = [image.tags[0] for image in images if not image.tags[0].endswith(EMPTY_IMAGE)]
    some = ", ".join(names[:SHOWN_IMAGES]) + (f" and {len(names) - SHOWN_IMAGES} more" if names[SHOWN_IMAGES:] else "")
    where = f"{info.kind} {info.version} (API {info.api_version}) at {info.endpoint}, from {endpoint.origin}"
    return [
        Fact("engine", f"{where}, {info.os}/{info.architecture}"),
        *_age(info),
        *_limits(info),
        *_restarts(info),
        *await anyio.to_thread.run_sync(_privileges, info),
        Fact("images", some) if names else Fact("images", "none", Mark.WARN, "get one: docker pull debian:stable-slim"),
    ]


def _age(info: EngineInfo) -> list[Fact]:
    floor, flaw = FLOORS.get(info.kind, ((), ""))
    numbers = tuple(map(int, re.findall(r"\d+", info.version)[:3]))
    if numbers >= floor:
        return []
    advice = f"ws-mcp keeps clear of what {flaw} needs; {'.'.join(map(str, floor))} has it fixed"
    return [Fact("engine", f"{info.version} has known flaws", Mark.WARN, advice)]


def _limits(info: EngineInfo) -> list[Fact]:
    text = f"storage {info.storage_driver}, cgroup v{info.cgroup_version} ({info.cgroup_driver})"
    text += f", {'rootless' if info.is_rootless else 'rootful'}; security: {', '.join(info.security_options) or 'none'}"
    advice = ""
    if info.is_rootless and info.cgroup_version == "1":
        advice = "limits of memory and processes do not hold for a rootless engine on cgroup v1: use cgroup v2"
    elif not any("seccomp" in option for option in info.security_options):
        advice = "the engine runs containers without seccomp: any system call is allowed in them"
    return [Fact("engine", text, Mark.WARN if advice else Mark.OK, advice)]


def _restarts(info: EngineInfo) -> list[Fact]:
    if info.kind != "docker":
        return []
    if info.has_live_restore:
        return [Fact("engine", "live-restore is on: processes survive a restart of the engine")]
    text = "live-restore is off: a restart of the engine ends all processes in workspaces"
    return [Fact("engine", text, Mark.WARN, 'put {"live-restore": true} into its daemon.json to keep them')]


def _privileges(info: EngineInfo) -> list[Fact]:
    """Docker refuses privileged containers where its own bounding set lacks a capability."""
    for name in Path("/proc").glob("[0-9]*/comm") if info.endpoint.startswith("unix://") else ():
        try:
            if name.read_text().strip() != "dockerd":
                continue
            bounding = re.search(r"^CapBnd:\s*([0-9a-f]+)", name.with_name("status").read_text(), re.MULTILINE)
        except OSError:
            continue
        if bounding and not int(bounding[1], 16) >> SYS_RESOURCE & 1:
            text = "it lacks SYS_RESOURCE and refuses privileged containers: no matter for tiers 1 and 2"
            return [Fact("engine", text)]
    return []


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


async def _workspaces(settings: Settings, engine: Engine | None) -> list[Fact]:
    try:
        async with open_core(choices_of(settings), engine) as core:
            return await _asked(core)
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
    return [Fact("instance", text), *(facts[workspace.place] for workspace in places)]


async def _ask(core: Core, workspace: Workspace, facts: dict[str, Fact]) -> None:
    name = f"{workspace.name} ({workspace.kind.value}, {workspace.place[:14]})"
    if workspace.state is not WorkspaceState.RUNNING:
        advice = OBSTACLES.get(workspace.state, "provision_workspace starts it")
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
