"""What doctor says of dev containers: the programs that make them, the engine's limits, and what is allowed to them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import anyio

from ws_mcp.console import Mark, home_path
from ws_mcp.core.devcontainers.allowances import FLAG
from ws_mcp.core.devcontainers.choices import DevContainerChoices
from ws_mcp.core.devcontainers.cli_call import tools_of
from ws_mcp.core.devcontainers.cli_found import find_cli, node_version
from ws_mcp.core.devcontainers.definitions import HostDefinitions
from ws_mcp.core.devcontainers.port import CliMissingError
from ws_mcp.core.engine.model import EngineInfo
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import StartError, WsError
from ws_mcp.core.host.command import allowed_environment, run_command
from ws_mcp.core.host.model import HostRules
from ws_mcp.facts import Fact

TOPIC = "devcontainer"
TRY_S = 10.0
# Whoever may write a definition is root on this machine, or runs programs on it.
DANGERS = ("privileged", "initialize-command", "capability:SYS_ADMIN", "run-arg:--privileged", "run-arg:--device")
_VERSION = re.compile(r"\d+(?:\.\d+)+")
Said = Callable[[Sequence[str]], Awaitable[str | None]]
"""What a command says, None if it fails or is not there."""


async def devcontainer_facts(choices: DevContainerChoices, state: Path, engine: Engine | None) -> list[Fact]:
    """About everything that dev containers need; one fact where the operator wants none."""
    if engine is None or not choices.roots:
        return [Fact(TOPIC, "off: --root DIR switches dev containers on for the projects below it")]
    try:
        info = await engine.info()
    except WsError:
        return []  # the engine's own facts say it
    environment = allowed_environment(os.environ)

    async def said(argv: Sequence[str]) -> str | None:
        return await _said(argv, environment)

    return [
        *await _cli(choices.cli, environment),
        *await builder_facts(info, said, lambda name: shutil.which(name) is not None),
        *podman_facts(info),
        await _definitions(choices, state),
        allowed_fact(choices.allow),
    ]


async def _cli(setting: str, environment: Mapping[str, str]) -> list[Fact]:
    try:
        found = await find_cli(setting, environment)
    except CliMissingError as error:
        text, advice = re.split(r": |; ", str(error), maxsplit=1)
        return [Fact(TOPIC, f"{text}: none can be made, those that are there can be used", Mark.WARN, advice)]
    try:
        node = f"Node {(await node_version(environment)).removeprefix('v')}"
    except CliMissingError:
        node = "a Node of its own"
    return [Fact(TOPIC, f"CLI {found.version} with {node}, {home_path(str(found.path))}")]


async def builder_facts(info: EngineInfo, said: Said, has: Callable[[str], bool]) -> list[Fact]:
    """The engine's command line, its compose and its builder. `has`: whether there is such a program."""
    tools = tools_of(info, has, is_root=os.getuid() == 0)
    docker = tools.docker or "docker"
    if not has(docker):
        text = f"the command line {docker!r} is not installed: the CLI makes nothing without it"
        return [Fact(TOPIC, text, Mark.WARN, f"install the client of {info.kind.capitalize()}")]
    compose = await said((tools.compose, "--version") if tools.compose else (docker, "compose", "version"))
    missing = "podman-compose" if info.kind == "podman" else "Docker's compose plugin"
    facts = [
        Fact(TOPIC, f"compose {_number(compose)}")
        if compose is not None
        else Fact(TOPIC, f"no compose: definitions with dockerComposeFile cannot be made; {missing} is not installed")
    ]
    if info.kind == "podman":
        return [*facts, Fact(TOPIC, "images are built by Podman itself")]
    buildx = await said((docker, "buildx", "version"))
    if buildx is not None:
        return [*facts, Fact(TOPIC, f"images are built by BuildKit (buildx {_number(buildx)})")]
    text = "images are built by the legacy builder, since there is no buildx: no cache mounts, no secrets in builds"
    return [*facts, Fact(TOPIC, text)]


def podman_facts(info: EngineInfo) -> list[Fact]:
    """What Podman does not do."""
    if info.kind != "podman" or info.is_rootless:
        return []
    text = "remote users other than root do not work with a rootful Podman: --userns=keep-id is for rootless ones"
    return [Fact(TOPIC, text, Mark.WARN, "use rootless Podman or Docker for definitions that name a user")]


async def _definitions(choices: DevContainerChoices, state: Path) -> Fact:
    rules = HostRules(roots=choices.roots, closed=(state, *choices.closed))
    found = len(await HostDefinitions(rules, str(Path.home())).discover())
    text = f"{found} definition{'s' if found != 1 else ''} below the roots"
    labels = ", ".join(f"{name}={value}" for name, value in choices.labels.items())
    return Fact(TOPIC, f"{text}; only containers with {labels} are seen" if labels else text)


def allowed_fact(allow: Sequence[str]) -> Fact:
    """How far definitions are let."""
    if not allow:
        return Fact(TOPIC, f"definitions may ask for nothing that reaches this machine ({FLAG} allows more)")
    text = f"definitions may besides: {', '.join(allow)}"
    dangers = [word for word in allow if word in DANGERS]
    if not dangers:
        return Fact(TOPIC, text)
    advice = f"leave {FLAG} {dangers[0]} out, unless you trust every definition below the roots as you do yourself"
    return Fact(TOPIC, f"DANGER: {text}; {dangers[0]} is as good as your own rights", Mark.WARN, advice, True)


async def _said(argv: Sequence[str], environment: Mapping[str, str]) -> str | None:
    try:
        with anyio.fail_after(TRY_S):
            done = await run_command(tuple(argv), environment=environment, hear=lambda _: None)
    except (StartError, TimeoutError):
        return None
    return done.stdout.decode(errors="replace") if done.code == 0 else None


def _number(text: str) -> str:
    found = _VERSION.search(text)
    return found[0] if found else "of an unknown version"
