"""What doctor says of the container engine: which one, its age, its limits, and what it will not do for this server."""

from __future__ import annotations

import os
import re
from pathlib import Path

import anyio.to_thread

from ws_mcp.console import Mark
from ws_mcp.core.engine.context import resolve_endpoint
from ws_mcp.core.engine.fill import EMPTY_IMAGE
from ws_mcp.core.engine.model import EngineInfo
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import ImageNotFoundError, WsError
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.core.workspaces.tiers import DEFAULT_TIER
from ws_mcp.facts import Fact

# The newest fix that matters to what ws-mcp does with an engine; older ones still work.
FLOORS = {"docker": ((29, 5, 1), "CVE-2026-41567"), "podman": ((6, 1, 2), "CVE-2025-11395")}
SYS_RESOURCE = 24  # capabilities(7)
SHOWN_IMAGES = 6
MADE = ("vsc-", "dev_container_")  # by the dev container CLI: nobody makes a workspace from them
UNIX = "unix://"
# Where distributions put what answers to names in Podman's networks: netavark's server, and the plugin for CNI.
NAME_SERVERS = tuple(
    Path(directory, name)
    for directory in ("/usr/lib", "/usr/libexec", "/usr/local/lib", "/usr/local/libexec", "/opt")
    for name in ("podman/aardvark-dns", "cni/dnsname", "cni/bin/dnsname")
)


async def engine_facts(wanted: str, engine: Engine | None, rules: WorkspaceRules) -> list[Fact]:
    """About the engine; `wanted` is what the operator said which one. The first fact says whether it answers."""
    if engine is None:
        return [Fact("engine", "none is wanted (--engine none)", Mark.WARN)]
    try:
        endpoint = await anyio.to_thread.run_sync(resolve_endpoint, wanted, os.environ)
        info = await engine.info()
        images = await engine.list_images()
    except WsError as error:
        return [Fact("engine", str(error), Mark.WARN, "install Docker or Podman, or name its endpoint with --engine")]
    names = [
        image.tags[0] for image in images if not image.tags[0].startswith(MADE) and EMPTY_IMAGE not in image.tags[0]
    ]
    some = ", ".join(names[:SHOWN_IMAGES]) + (f" and {len(names) - SHOWN_IMAGES} more" if names[SHOWN_IMAGES:] else "")
    where = f"{info.kind} {info.version} (API {info.api_version}) at {info.endpoint}, from {endpoint.origin}"
    return [
        Fact("engine", f"{where}, {info.os}/{info.architecture}"),
        *_age(info),
        *_limits(info),
        *_restarts(info),
        *_distance(info, rules),
        *_privileges(rules, is_refused=await anyio.to_thread.run_sync(_refuses_privileges, info)),
        *_podman(info, rules, has_names=any(path.exists() for path in NAME_SERVERS)),
        Fact("images", some) if names else Fact("images", "none", Mark.WARN, "get one: docker pull debian:stable-slim"),
        *await image_facts(engine, info, rules),
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


def _distance(info: EngineInfo, rules: WorkspaceRules) -> list[Fact]:
    if not rules.roots or info.endpoint.startswith(UNIX):
        return []
    text = "it is on another machine, which does not see the folders of this one: --root gives callers nothing"
    return [Fact("engine", text, Mark.WARN, "leave --root out, or use an engine of this machine")]


def _privileges(rules: WorkspaceRules, *, is_refused: bool) -> list[Fact]:
    if not is_refused:
        return []
    text = "it lacks SYS_RESOURCE and refuses privileged containers"
    if rules.max_tier <= DEFAULT_TIER:
        return [Fact("engine", f"{text}: no matter for tiers 1 and 2")]
    advice = "run it with all capabilities, use Podman, which does with those that it has, or leave --max-tier out"
    return [Fact("engine", f"{text}: no workspace of tier 3 or 4 can be made", Mark.WARN, advice)]


def _refuses_privileges(info: EngineInfo) -> bool:
    """Whether it is a Docker of this machine whose own bounding set lacks a capability."""
    if info.kind != "docker" or not info.endpoint.startswith(UNIX):
        return False
    for name in Path("/proc").glob("[0-9]*/comm"):
        try:
            if name.read_text().strip() != "dockerd":
                continue
            bounding = re.search(r"^CapBnd:\s*([0-9a-f]+)", name.with_name("status").read_text(), re.MULTILINE)
        except OSError:
            continue
        if bounding and not int(bounding[1], 16) >> SYS_RESOURCE & 1:
            return True
    return False


def _podman(info: EngineInfo, rules: WorkspaceRules, *, has_names: bool) -> list[Fact]:
    if info.kind != "podman":
        return []
    facts: list[Fact] = []
    if rules.container_runtime:
        text = f"a caller cannot choose a runtime of Podman: with --container-runtime {rules.container_runtime} "
        advice = "leave the flag out, and name the runtime in containers.conf"
        facts.append(Fact("engine", f"{text}no workspace can be made", Mark.WARN, advice))
    if not has_names and info.endpoint.startswith(UNIX):
        text = "it has no name server: workspaces that share a network do not find each other by name"
        advice = "install aardvark-dns, or the plugin dnsname where Podman uses CNI"
        facts.append(Fact("engine", text, Mark.WARN, advice))
    return facts


async def image_facts(engine: Engine, info: EngineInfo, rules: WorkspaceRules) -> list[Fact]:
    """Whether the images that this server was told of are there."""
    wanted = {f"--runtime {name}": image for name, image in sorted(rules.runtimes.items())}
    if rules.default_image:
        wanted = {"--image": rules.default_image, **wanted}
    return [await _image_fact(engine, info, rules, flag, image) for flag, image in wanted.items()]


async def _image_fact(engine: Engine, info: EngineInfo, rules: WorkspaceRules, flag: str, image: str) -> Fact:
    try:
        await engine.image(image)
    except ImageNotFoundError:
        text = f"{flag}: {image} is not on the engine"
        if rules.may_pull:
            return Fact("images", f"{text} yet; it is pulled when a workspace needs it")
        cli = "podman" if info.kind == "podman" else "docker"
        return Fact("images", text, Mark.WARN, f"get it with {cli} pull {image}, or let servers do that with --pull")
    except WsError as error:
        return Fact("images", f"{flag}: {error}", Mark.WARN)
    return Fact("images", f"{flag}: {image} is on the engine")
