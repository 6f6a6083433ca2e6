"""What a recreate comes to (pure)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from ws_mcp.core.devcontainers.definition import is_local, mapping, path_of, texts
from ws_mcp.core.devcontainers.model import UNCHANGED, DevContainer, Freshness, Kind, RecreateAsk, Status
from ws_mcp.core.devcontainers.port import Definition, Fingerprint
from ws_mcp.core.execd.delivery import MOUNT

INITIALIZE = "initializeCommand"


class Change(StrEnum):
    """The one thing to do; the words of `Recreated.change`."""

    NOTHING = UNCHANGED
    START = "started"
    CREATE = "created"
    RECREATE = "recreated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A change and why."""

    change: Change
    reasons: tuple[str, ...] = ()


def plan_recreate(found: DevContainer, ask: RecreateAsk) -> Plan:
    """Which change leads from what was found to what is asked for."""
    if found.container is None:
        return Plan(change=Change.CREATE, reasons=("it has no container yet",))
    reasons: tuple[str, ...] = ()
    if found.verdict is not None and found.verdict.freshness is not Freshness.CLEAN:
        reasons = found.verdict.reasons or ("whether it is up to date is not known",)
    elif not found.is_complete:
        reasons = (f"its set-up is incomplete{f': {found.error}' if found.error else ''}",)
    if reasons:
        return Plan(change=Change.RECREATE, reasons=reasons)
    if ask.force or ask.no_cache:
        return Plan(change=Change.RECREATE, reasons=("it is up to date and was asked for nevertheless",))
    return Plan(change=Change.NOTHING if found.status is Status.RUNNING else Change.START)


def runs_of(plan: Plan, definition: Definition) -> tuple[str, ...]:
    """The commands of this machine that a change runs, the definition's own named as such."""
    if plan.change is Change.NOTHING:
        return ()
    where = shlex.join(("--workspace-folder", definition.key.folder, "--config", definition.key.config))
    flags = {Change.RECREATE: " --remove-existing-container", Change.START: " --expect-existing-container"}
    own = tuple(f"{INITIALIZE}: {each}" for each in commands_of(definition.properties.get(INITIALIZE)))
    build = (f"devcontainer build {where}",) if plan.change is Change.RECREATE else ()
    return (*build, *own, f"devcontainer up {where}{flags.get(plan.change, '')}")


def with_execd(definition: Definition, volume: str) -> Mapping[str, object]:
    """The properties with the volume of execd mounted.

    Read-only, which `--mount` cannot say: the volume is in other containers, too, and root in this one must not change
    what runs there.
    """
    properties = dict(definition.properties)
    if volume and definition.kind is not Kind.COMPOSE:
        given = properties.get("runArgs")
        mount = f"type=volume,source={volume},target={MOUNT},readonly"
        properties["runArgs"] = [*(cast("list[object]", given) if isinstance(given, list) else []), "--mount", mount]
    return properties


def anchored(definition: Definition) -> Mapping[str, object] | None:
    """The properties with absolute paths, for a copy that a build is given in place of the definition.

    None where a copy cannot stand elsewhere: local features are found beside a definition only, and where a variable
    of this machine leads is for the CLI to say.
    """
    properties = dict(definition.properties)
    if any(is_local(feature) for feature in mapping(properties.get("features"))):
        return None
    build = mapping(properties.get("build"))
    paths = {name: path_of(definition, str(build[name])) for name in ("dockerfile", "context") if build.get(name)}
    composed = texts(properties.get("dockerComposeFile"))
    files = [path_of(definition, each) for each in composed]
    if None in (*paths.values(), *files):
        return None
    return {
        **properties,
        **({"build": {**build, **paths}} if paths else {}),
        **({"dockerComposeFile": files} if files else {}),
    }


def mounts_of(definition: Definition, volume: str) -> tuple[str, ...]:
    """The same for a compose project, which knows no `runArgs`: there the CLI writes `source:target`."""
    if not volume or definition.kind is not Kind.COMPOSE:
        return ()
    return (f"type=volume,source={volume},target={MOUNT}:ro,external=true",)


def commands_of(value: object) -> tuple[str, ...]:
    """A lifecycle command in its three forms: a line for the shell, words, or several by name."""
    if isinstance(value, str):
        return (value,) if value.strip() else ()
    if isinstance(value, Mapping):
        return tuple(line for each in cast("Mapping[str, object]", value).values() for line in commands_of(each))
    if isinstance(value, Sequence):
        words = [str(word) for word in cast("Sequence[object]", value)]
        return (shlex.join(words),) if words else ()
    return ()


def is_same_files(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether a build from the one is a build from the other: the lock is written by the build itself."""
    return _files(one) == _files(other)


def _files(fingerprint: Fingerprint) -> dict[str, str]:
    return {part: digest for part, digest in fingerprint.parts.items() if not part.startswith(("lock/", "image/"))}
