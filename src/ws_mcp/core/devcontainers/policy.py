"""What a definition, and what images and features add to it, asks of this machine, held against what is allowed (pure).

A plain image, a Dockerfile, local features, hooks, named volumes and what lies below the operator's roots need no
allowance. What runs on this machine, or lets a container out of its walls, needs one, and all that lacks one is told at
once. Compose files can ask for any of it in ways that are not looked at here, so they are allowed as a whole; what came
of them is then looked at like any container.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from posixpath import dirname, join, normpath
from typing import cast

from ws_mcp.core.devcontainers.allowances import Allowances, Violation
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.mount_rules import CLOSED, TEXT, Case, Paths, mount_violations
from ws_mcp.core.devcontainers.run_args import (
    capability_violations,
    is_published_here,
    run_arg_violations,
    security_violations,
)
from ws_mcp.core.devcontainers.sightings import is_below, metadata_of
from ws_mcp.core.devcontainers.substitution import local_variables
from ws_mcp.core.engine.record import Record

Check = Callable[[Case, object], Iterator[Violation]]

_FALSE = (None, False, 0, "")  # what JavaScript takes for false, the CLI does, too


def check_definition(
    key: Key, properties: Mapping[str, object], allowances: Allowances, paths: Paths = TEXT
) -> tuple[Violation, ...]:
    """Of a definition as it was read, unsubstituted: before anything of it runs."""
    case = Case(key=key, allowances=allowances, paths=paths)
    return tuple(_unique(chain(_outside(case), _of_properties(case, properties), _of_variables(case, properties))))


def check_merged(
    key: Key, merged: Mapping[str, object], allowances: Allowances, paths: Paths = TEXT, mount: str = ""
) -> tuple[Violation, ...]:
    """Of `mergedConfiguration` as the CLI says it: with what the image and the features add, substituted.

    `mount`: what it would mount as the workspace, which can be a repository that the folder is in.
    """
    case = Case(key=key, allowances=allowances, paths=paths)
    of_mount = mount_violations(case, "the workspace's mount", mount) if mount else ()
    return tuple(_unique(chain(_of_properties(case, merged), of_mount)))


def check_image(
    key: Key, labels: Mapping[str, str], allowances: Allowances, paths: Paths = TEXT
) -> tuple[Violation, ...]:
    """Of the image that a container is made from, before it is made.

    Its label adds to a definition, and variables in it are filled in from this machine, which nobody sees any more in
    the merged configuration. Features that were built in are in it, too.
    """
    case = Case(key=key, allowances=allowances, paths=paths)
    entries = metadata_of(labels)
    if entries is None:
        return (Violation(subject="the image's devcontainer.metadata", value="", why="it cannot be read"),)
    found = chain.from_iterable(
        chain(_of_properties(case, entry), _of_variables(case, entry, "the image's devcontainer.metadata"))
        for entry in entries
    )
    return tuple(_unique(found))


def checked_copy(properties: Mapping[str, object]) -> str:
    """The text to hand over by `--override-config`: what was checked, in a form that can be read in one way only."""
    return json.dumps(properties, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _outside(case: Case) -> Iterator[Violation]:
    for subject, path in (("the folder", case.key.folder), ("the definition", case.key.config)):
        real = case.paths.real(path)
        if not any(is_below(real, root) for root in case.allowances.roots):
            yield Violation(subject=subject, value=path, why="it is not below the roots that the operator named")
        elif case.paths.is_closed(real):
            yield Violation(subject=subject, value=path, why=CLOSED)


def _of_properties(case: Case, properties: Mapping[str, object]) -> Iterator[Violation]:
    for name, check in _CHECKS.items():
        if properties.get(name) not in _FALSE:
            yield from check(case, properties[name])


def _of_variables(case: Case, properties: Mapping[str, object], subject: str = "a variable") -> Iterator[Violation]:
    for name in local_variables(properties):
        if name not in case.allowances.local_env:
            yield Violation(
                subject=subject,
                value=f"${{localEnv:{name}}}",
                why="reads the environment of this machine",
                allow=f"local-env:{name}" if name.isidentifier() else "",
            )


def _unique(violations: Iterable[Violation]) -> Iterator[Violation]:
    yield from dict.fromkeys(violations)


def _initialize(case: Case, value: object) -> Iterator[Violation]:
    if not case.allowances.initialize_command:
        shown = value if isinstance(value, str) else json.dumps(value, default=repr)
        yield Violation(
            subject="initializeCommand", value=shown, why="runs on this machine itself", allow="initialize-command"
        )


def _privileged(case: Case, value: object) -> Iterator[Violation]:
    if not case.allowances.privileged:
        yield Violation(
            subject="privileged",
            value=json.dumps(value, default=repr),
            why="is root on this machine",
            allow="privileged",
        )


def _compose(case: Case, value: object) -> Iterator[Violation]:
    if not case.allowances.compose:
        why = "compose files can ask for any right on this machine and are not looked into"
        yield Violation(subject="dockerComposeFile", value=json.dumps(value, default=repr), why=why, allow="compose")


def _image(_case: Case, value: object) -> Iterator[Violation]:
    if not isinstance(value, str) or value.strip().startswith("-"):
        yield Violation(subject="image", value=str(value), why="would be taken for an option")


def _run_args(case: Case, value: object) -> Iterator[Violation]:
    yield from _each(value, "runArgs", lambda words: run_arg_violations(case, words))


def _capabilities(case: Case, value: object) -> Iterator[Violation]:
    yield from _each(
        value, "capAdd", lambda names: chain.from_iterable(capability_violations(case, "capAdd", n) for n in names)
    )


def _security(case: Case, value: object) -> Iterator[Violation]:
    yield from _each(
        value,
        "securityOpt",
        lambda all_: chain.from_iterable(security_violations(case, "securityOpt", o) for o in all_),
    )


def _each(value: object, name: str, check: Callable[[list[str]], Iterable[Violation]]) -> Iterator[Violation]:
    texts = cast("list[object]", value) if isinstance(value, list) else None
    if texts is None or not all(isinstance(text, str) for text in texts):
        yield Violation(subject=name, value=json.dumps(value, default=repr), why="must be a list of texts")
    else:
        yield from check(cast("list[str]", texts))


def _mounts(case: Case, value: object) -> Iterator[Violation]:
    if not isinstance(value, list):
        yield Violation(subject="mounts", value=json.dumps(value, default=repr), why="must be a list")
        return
    for mount in cast("list[object]", value):
        yield from mount_violations(case, "mounts", mount)


def _workspace_mount(case: Case, value: object) -> Iterator[Violation]:
    yield from mount_violations(case, "workspaceMount", value)


def _ports(case: Case, value: object) -> Iterator[Violation]:
    ports = cast("list[object]", value) if isinstance(value, list) else [value]
    for port in ports:
        # The CLI binds a number to this machine's own address.
        is_fine = isinstance(port, int) or (isinstance(port, str) and is_published_here(port))
        if not is_fine and not case.allowances.publish:
            why = "the port is open to other machines; write it as a number, or 127.0.0.1: before it"
            yield Violation(subject="appPort", value=str(port), why=why, allow="publish")


def _build(case: Case, value: object) -> Iterator[Violation]:
    build = Record(value)
    options = build.get("options")
    if options not in (*_FALSE, []) and not case.allowances.build_options:
        shown = json.dumps(options, default=repr)
        why = "options of the build can read and run what lies outside of it"
        yield Violation(subject="build.options", value=shown, why=why, allow="build-options")
    yield from _file(case, "build.dockerfile", build.get("dockerfile"))
    # Without a context it is where the Dockerfile is.
    yield from _file(case, "build.context", build.get("context") or dirname(build.text("dockerfile")))
    if build.text("target").startswith("-"):
        yield Violation(subject="build.target", value=build.text("target"), why="would be taken for an option")


def _file(case: Case, subject: str, value: object) -> Iterator[Violation]:
    """Of a path in a definition: what is below no root must not get into an image, which anybody can read."""
    if value in _FALSE:
        return
    path = case.text(value) if isinstance(value, str) else ""
    real = case.paths.real(normpath(join(dirname(case.key.config), path)))
    if not path or "${" in path or not path.isprintable():
        yield Violation(subject=subject, value=str(value), why="where it leads is not known")
    elif why := case.why_not_reached(real):
        yield Violation(subject=subject, value=path, why=why)
    elif case.paths.is_closed(real):
        yield Violation(subject=subject, value=path, why=CLOSED)


def _features(case: Case, value: object) -> Iterator[Violation]:
    for name in Record(value).keys():  # noqa: SIM118 - a Record is no dict
        if name.startswith(("./", "../")):
            yield from _file(case, "features", name)
        elif not any(_matches(name, pattern) for pattern in case.allowances.features):
            why = "is fetched from elsewhere, runs as root in the build, and can ask for rights"
            yield Violation(subject="features", value=name, why=why, allow=f"feature:{name}")


def _matches(name: str, pattern: str) -> bool:
    is_within = pattern.endswith("*") and name.startswith(pattern[:-1]) and ".." not in name
    return name == pattern or is_within


_CHECKS: Mapping[str, Check] = {
    "initializeCommand": _initialize,
    "privileged": _privileged,
    "runArgs": _run_args,
    "capAdd": _capabilities,
    "securityOpt": _security,
    "mounts": _mounts,
    "workspaceMount": _workspace_mount,
    "dockerComposeFile": _compose,
    "build": _build,
    "dockerFile": lambda case, value: _file(case, "dockerFile", value),
    "context": lambda case, value: _file(case, "context", value),
    "features": _features,
    "appPort": _ports,
    "image": _image,
}
