"""The user of a dev container: who it is, where it works, and the environment that its shell gives (pure).

Source: @devcontainers/cli 0.89, injectHeadless.ts (probeUserEnv, mergePaths) and imageMetadata.ts (mergeConfiguration).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import basename

from ws_mcp.core.devcontainers.model import Record
from ws_mcp.core.devcontainers.sightings import inner_path_of, metadata_of
from ws_mcp.core.devcontainers.substitution import in_container
from ws_mcp.core.engine.model import Container
from ws_mcp.core.engine.record import Record as Members

DEFAULT_PROBE = "loginInteractiveShell"
DEFAULT_SHELL = "/bin/sh"
MAX_PROBED_BYTES = 512 << 10
MAX_PASSWD_BYTES = 1 << 20

_FLAGS = {"loginInteractiveShell": "-lic", "loginShell": "-lc", "interactiveShell": "-ic"}
_POWERSHELL = re.compile("pwsh(-preview)?")
_NO_SHELL = ("false", "nologin", "sync", "halt", "shutdown")
_OF_THE_SHELL = frozenset({"PWD", "OLDPWD", "SHLVL", "_"})
_SYSTEM = re.compile("/sbin(/|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who processes in a dev container belong to. `user` "" = the container's own; `path` "" = its own directory.

    `remote`: what `remoteEnv` sets over the environment of its shell.
    """

    user: str
    path: str
    probe: str = DEFAULT_PROBE
    remote: Mapping[str, str] = field(default_factory=dict[str, str])


def person_of(container: Container, record: Record, local: Mapping[str, str]) -> Person:
    """From what `up` reported, else from what the container's labels and mounts say.

    `local`: the variables of this machine that may be read.
    """
    entries = [Members(entry) for entry in metadata_of(container.labels) or ()]
    path = record.path or inner_path_of(container, record.key.folder) or ""
    remote: dict[str, object] = {}
    for entry in entries:
        remote |= entry.record("remoteEnv").members()
    values = {name: value for name, value in remote.items() if isinstance(value, str) and is_variable(name)}
    return Person(
        user=record.user or _last(entries, "remoteUser") or _last(entries, "containerUser") or container.user,
        path=path,
        probe=_last(entries, "userEnvProbe") or DEFAULT_PROBE,
        remote={
            name: in_container(value, record.key.folder, path, container.environment, local)
            for name, value in values.items()
        },
    )


def is_variable(name: str) -> bool:
    """Whether a variable can be handed over; ours never come from outside."""
    return bool(name) and not name.startswith("WSMCP_") and "=" not in name and "\0" not in name


def shell_of(passwd: str, user: str, environment: Mapping[str, str]) -> str:
    """The shell of a user ("dev", "1000", "dev:group") by the container's /etc/passwd, else that of its environment."""
    who = user.partition(":")[0] or "0"
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) == 7 and who in (fields[0], fields[2]):
            if fields[6].startswith("/") and basename(fields[6]) not in _NO_SHELL:
                return fields[6]
            break
    given = environment.get("SHELL", "")
    return given if given.startswith("/") else DEFAULT_SHELL


def probe_argv(shell: str, probe: str, mark: str) -> tuple[str, ...] | None:
    """How the environment of the user's shell is asked for; None: it is not wanted. `mark` stands around the answer."""
    flag = _FLAGS.get(probe)
    if flag is None:
        return None
    command = f"echo -n {mark}; cat /proc/self/environ; echo -n {mark}"
    if _POWERSHELL.fullmatch(basename(shell)):
        return (shell, *(("-Login",) if flag.startswith("-l") else ()), "-Command", command)
    return (shell, flag, command)


def probed_of(output: bytes, mark: str) -> dict[str, str] | None:
    """What the shell answered, whatever its files print around it; None: nothing that can be read."""
    _, before, rest = output.partition(mark.encode())
    answer, after, _ = rest.partition(mark.encode())
    if not before or not after:
        return None
    pairs = (entry.decode(errors="replace").partition("=") for entry in answer.split(b"\0") if entry)
    found = {name: value for name, equals, value in pairs if equals and is_variable(name)}
    return {name: value for name, value in found.items() if name not in _OF_THE_SHELL} or None


def environment_of(container: Container, person: Person, probed: Mapping[str, str] | None) -> dict[str, str]:
    """What the user's processes get beside the container's own environment."""
    environment = dict(probed or {})
    own = container.environment.get("PATH")
    if own and "PATH" in environment:
        environment["PATH"] = merged_path(environment["PATH"], own, is_root=person.user in ("", "root", "0"))
    return {**environment, **person.remote}


def merged_path(shell: str, container: str, *, is_root: bool) -> str:
    """The shell's PATH with what the container's has beside: a login shell forgets what the image put there."""
    result, place = shell.split(":"), 0
    for entry in container.split(":"):
        if entry in result:
            place = result.index(entry) + 1
        elif is_root or not _SYSTEM.search(entry):
            result.insert(place, entry)
            place += 1
    return ":".join(result)


def _last(entries: list[Members], name: str) -> str:
    return next((text for entry in reversed(entries) if (text := entry.text(name))), "")
