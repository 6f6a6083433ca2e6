"""The options of `docker run` in a definition: read as the engine's command line reads them, and judged (pure).

Source: docker/cli 20.10 to 28, cli/command/container/opts.go, and spf13/pflag (short options may be glued to each other
and to their value; long ones have no abbreviations; an option that takes a value takes the next word, whatever it is).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ws_mcp.core.devcontainers.allowances import Violation, capability_of
from ws_mcp.core.devcontainers.mount_rules import Case, mount_violations, volume_violations

_SHORT = {
    "a": "--attach",
    "c": "--cpu-shares",
    "d": "--detach",
    "e": "--env",
    "h": "--hostname",
    "i": "--interactive",
    "l": "--label",
    "m": "--memory",
    "p": "--publish",
    "P": "--publish-all",
    "q": "--quiet",
    "t": "--tty",
    "u": "--user",
    "v": "--volume",
    "w": "--workdir",
}
_ALIASES = {"--net": "--network", "--net-alias": "--network-alias", "--dns-opt": "--dns-option"}
# Options without a value.
_FLAGS = re.compile(
    "--(detach|disable-content-trust|help|init|interactive|no-healthcheck|oom-kill-disable|privileged|publish-all|quiet|"
    "read-only|rm|sig-proxy|tty|use-api-socket)"
)
_HARMLESS_FLAGS = re.compile("--(init|interactive|no-healthcheck|read-only|rm|tty)")
_HARMLESS = re.compile(
    "--(add-host|cap-drop|cpu-(period|quota|shares)|cpus|cpuset-(cpus|mems)|dns(-option|-search)?|domainname|expose|"
    "group-add|health-(cmd|interval|retries|start-period|timeout)|hostname|memory(-reservation|-swap|-swappiness)?|"
    "network-alias|pids-limit|platform|restart|shm-size|stop-(signal|timeout)|tmpfs|ulimit|user|workdir)"
)
# Options that are harmless with some values only.
_VALUES = {
    "--network": re.compile("none|bridge|default"),
    "--ipc": re.compile("none|private|shareable"),
    "--cgroupns": re.compile("private"),
    "--userns": re.compile("private|keep-id(:[a-z0-9=,]*)?|auto"),
    "--name": re.compile("(?!wsmcp-)[A-Za-z0-9][A-Za-z0-9_.-]*"),
}
_OURS = ("dev.ws-mcp.", "devcontainer.", "com.docker.compose.", "io.podman.compose.")
_LOOPBACK = re.compile(r"(127\.[0-9.]+|\[::1\]):.*")
_NO_NEW_PRIVILEGES = re.compile("no-new-privileges([:=]true)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option. `flag`: its long name, "" for a word that is none; `shown`: as it was written."""

    flag: str
    value: str
    shown: str


def run_arg_violations(case: Case, arguments: Sequence[str]) -> Iterator[Violation]:
    """Of all options."""
    for option in options_of([case.text(argument) for argument in arguments]):
        check = _CHECKS.get(option.flag, _other)
        yield from check(case, option)


def options_of(words: Sequence[str]) -> Iterator[Option]:
    """The options as `docker run` understands them."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--") and word != "--":
            yield _long(word, rest)
        elif word.startswith("-") and word not in ("-", "--"):
            yield from _shorts(word, rest)
        else:
            yield Option(flag="", value=word, shown=word)


def _long(word: str, rest: list[str]) -> Option:
    name, equals, value = word.partition("=")
    flag = _ALIASES.get(name, name)
    if equals or _FLAGS.fullmatch(flag):
        return Option(flag=flag, value=value, shown=word)
    # An option that we do not know may take none: what looks like another one is looked at as one.
    is_known = _HARMLESS.fullmatch(flag) or flag in _VALUES or flag in _CHECKS
    if rest and (is_known or not rest[0].startswith("-")):
        value = rest.pop(0)
    return Option(flag=flag, value=value, shown=f"{word} {value}".strip())


def _shorts(word: str, rest: list[str]) -> Iterator[Option]:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = _SHORT.get(letter, f"-{letter}")
        if _FLAGS.fullmatch(flag):
            if letters.startswith("="):
                letters = ""
            yield Option(flag=flag, value="", shown=word)
            continue
        value = letters.removeprefix("=") if letters else (rest.pop(0) if rest else "")
        yield Option(flag=flag, value=value, shown=word if letters else f"{word} {value}")
        return


def _other(case: Case, option: Option) -> Iterator[Violation]:
    flag, value = option.flag, option.value
    if not flag:
        yield _violation(option, "is no option, and would be taken for the image")
        return
    if flag in _VALUES:
        harmless = _VALUES[flag].fullmatch(value)
    else:
        harmless = _HARMLESS_FLAGS.fullmatch(flag) or _HARMLESS.fullmatch(flag)
    if not harmless and flag not in case.allowances.run_args:
        yield _violation(option, "is not among the options that are harmless to this machine", f"run-arg:{flag}")


def _environment(case: Case, option: Option) -> Iterator[Violation]:
    name, equals, _ = option.value.partition("=")
    if not equals and name not in case.allowances.local_env:
        yield _violation(option, "without a value the variable is copied from this machine", f"local-env:{name}")


def _label(_case: Case, option: Option) -> Iterator[Violation]:
    if option.value.strip().lower().startswith(_OURS):
        yield _violation(option, "labels of this name say whose a container is")


def _publish(case: Case, option: Option) -> Iterator[Violation]:
    if not case.allowances.publish and not is_published_here(option.value):
        yield _violation(option, "the port is open to other machines; write 127.0.0.1: before it", "publish")


def is_published_here(value: str) -> bool:
    """Whether a port is published on this machine's own address only."""
    return _LOOPBACK.fullmatch(value) is not None


def is_no_new_privileges(value: str) -> bool:
    """Whether a security option only takes rights away."""
    return _NO_NEW_PRIVILEGES.fullmatch(value) is not None


def _privileged(case: Case, option: Option) -> Iterator[Violation]:
    if not case.allowances.privileged:
        yield _violation(option, "is root on this machine", "privileged")


def _capability(case: Case, option: Option) -> Iterator[Violation]:
    yield from capability_violations(case, "runArgs", option.value)


def capability_violations(case: Case, subject: str, name: str) -> Iterator[Violation]:
    """Of a capability that is added."""
    allowed, wanted = case.allowances.capabilities, capability_of(name)
    if wanted not in allowed and "ALL" not in allowed and not case.allowances.privileged:
        yield Violation(
            subject=subject,
            value=f"--cap-add {name}" if subject == "runArgs" else name,
            why="is a right that containers do not have by default",
            allow=f"capability:{wanted}",
        )


def _security(case: Case, option: Option) -> Iterator[Violation]:
    yield from security_violations(case, "runArgs", option.value)


def security_violations(case: Case, subject: str, value: str) -> Iterator[Violation]:
    """Of a security option."""
    is_allowed = value in case.allowances.security_options or case.allowances.privileged
    if not is_allowed and not is_no_new_privileges(value):
        yield Violation(
            subject=subject,
            value=f"--security-opt {value}" if subject == "runArgs" else value,
            why="takes a wall between the container and this machine away",
            allow=f"security-option:{value}",
        )


def _mount(case: Case, option: Option) -> Iterator[Violation]:
    yield from mount_violations(case, "runArgs --mount", option.value)


def _volume(case: Case, option: Option) -> Iterator[Violation]:
    yield from volume_violations(case, "runArgs --volume", option.value)


def _violation(option: Option, why: str, allow: str = "") -> Violation:
    return Violation(subject="runArgs", value=option.shown, why=why, allow=allow)


_CHECKS: Mapping[str, Callable[[Case, Option], Iterator[Violation]]] = {
    "--cap-add": _capability,
    "--env": _environment,
    "--label": _label,
    "--mount": _mount,
    "--privileged": _privileged,
    "--publish": _publish,
    "--security-opt": _security,
    "--volume": _volume,
}
