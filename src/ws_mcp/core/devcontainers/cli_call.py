"""How the dev container CLI is called: its arguments and what its environment says of the engine (pure)."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath

from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.port import Aside, CliCall, Verb
from ws_mcp.core.engine.context import Endpoint
from ws_mcp.core.engine.model import EngineInfo

# Only with our own values: what the environment says otherwise is about some other engine.
_OF_ENGINE = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "CONTAINER_HOST")
NOBODYS = "dev.ws-mcp.container=none"


@dataclass(frozen=True, slots=True, kw_only=True)
class CliTools:
    """What the CLI reaches the engine with. `docker`, `compose`: programs, "" for its own choice.

    `has_legacy_builder_only`: BuildKit cannot be used there. `is_root`: the CLI runs as root.
    """

    docker: str = ""
    compose: str = ""
    has_legacy_builder_only: bool = False
    is_root: bool = False


def tools_of(info: EngineInfo, has: Callable[[str], bool], *, is_root: bool) -> CliTools:
    """What to reach this engine with. `has`: whether there is such a program.

    With Podman's own command line the CLI maps the user (`--userns=keep-id`): right without root, refused with it.
    """
    if info.kind != "podman":
        return CliTools(is_root=is_root)
    compose = "podman-compose" if has("podman-compose") else ""
    docker = "" if has("docker") and not info.is_rootless else "podman"
    return CliTools(docker=docker, compose=compose, has_legacy_builder_only=True, is_root=is_root)


def lock_of(config: str) -> PurePath:
    """The lock file of a definition. Source: the CLI, `getLockfilePath`."""
    path = PurePath(config)
    return path.with_name(f"{'.' if path.name.startswith('.') else ''}devcontainer-lock.json")


def arguments_of(call: CliCall, tools: CliTools, *, has_lock: bool) -> tuple[str, ...]:
    """The arguments of a run. `has_lock`: there is a lock file beside the definition.

    Source: the CLI, `doBuild`: it has no `--override-config`, so what is built is a copy in place of the definition.
    """
    key = call.key
    if call.verb is Verb.BUILD and call.content:
        key = replace(key, config=str(call.content))
    arguments = [call.verb.value, *_named(key), *_tools(tools)]
    if tools.has_legacy_builder_only:
        arguments += ["--buildkit", "never"]
    if not has_lock:
        # Else one is written into the user's work tree, even where nothing is to be locked.
        arguments.append("--no-lockfile")
    if call.verb is Verb.BUILD:
        return (*arguments, *(["--no-cache"] if call.no_cache else []))
    return (*arguments, *_of_up(call, tools))


def aside_script(docker: str, aside: Aside) -> str:
    """A program in place of `docker` for one run, which keeps a container that is to be removed.

    Source: the CLI, `removeContainer`, which says `rm -f ID`. As by that it is killed; what stays taken shows when the
    new one is made.
    """
    program, container, name = shlex.quote(docker or "docker"), shlex.quote(aside.container), shlex.quote(aside.name)
    return (
        "#!/bin/sh\n"
        f'if [ "$#" = 3 ] && [ "$1 $2" = "rm -f" ] && [ "$3" = {container} ]; then\n'
        f'    {program} kill "$3" >/dev/null 2>&1\n'
        f'    {program} rename "$3" {name} >/dev/null 2>&1\n'
        "    exit 0\n"
        "fi\n"
        f'exec {program} "$@"\n'
    )


def reading_arguments(key: Key, content: PurePath | None, tools: CliTools) -> tuple[str, ...]:
    """The arguments that ask what the definition comes to with what its image adds.

    The label is nobody's: of a container that is there the CLI would answer with what that one was made from.
    """
    override = ["--override-config", str(content)] if content else []
    asked = ("--include-merged-configuration", "--id-label", NOBODYS)
    return ("read-configuration", *_named(key), *_tools(tools), *override, *asked)


def engine_environment(endpoint: Endpoint | None) -> dict[str, str]:
    """How the command line of Docker or Podman reaches the engine that the server uses; None: as it would itself."""
    if endpoint is None:
        return {}
    environment = {"DOCKER_HOST": str(endpoint), "CONTAINER_HOST": str(endpoint)}
    if endpoint.tls is not None:
        given = next(filter(None, (endpoint.tls.ca, endpoint.tls.certificate, endpoint.tls.key)), "")
        environment |= {"DOCKER_TLS_VERIFY" if endpoint.tls.verifies else "DOCKER_TLS": "1"}
        environment |= {"DOCKER_CERT_PATH": str(PurePath(given).parent)} if given else {}
    return environment


def environment_of(allowed: Mapping[str, str], endpoint: Endpoint | None, of_call: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a run."""
    of_engine = engine_environment(endpoint)
    base = {name: value for name, value in allowed.items() if not of_engine or name not in _OF_ENGINE}
    return {**base, **of_call, **of_engine}


def _named(key: Key) -> list[str]:
    # Both, always: a definition in a folder of its own is never found without.
    return ["--workspace-folder", key.folder, "--config", key.config, "--log-format", "json"]


def _tools(tools: CliTools) -> list[str]:
    docker = ["--docker-path", tools.docker] if tools.docker else []
    return docker + (["--docker-compose-path", tools.compose] if tools.compose else [])


def _of_up(call: CliCall, tools: CliTools) -> list[str]:
    arguments = ["--include-merged-configuration"]
    if tools.is_root:
        # Nothing would be changed for root, but an image built for it. For everybody else it stays on, as in editors:
        # the files of the folder belong to the user inside.
        arguments += ["--update-remote-user-uid-default", "off"]
    if call.content:
        arguments += ["--override-config", str(call.content)]
    if call.removes_existing:
        arguments.append("--remove-existing-container")
    if call.is_expecting:
        arguments.append("--expect-existing-container")
    if call.no_cache:
        arguments.append("--build-no-cache")
    for mount in call.mounts:
        arguments += ["--mount", mount]
    return arguments
