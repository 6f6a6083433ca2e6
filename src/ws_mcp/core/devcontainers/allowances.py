"""What the operator allows dev containers beyond what is harmless to the machine (pure). By default: nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ws_mcp.core.devcontainers.sightings import is_plain
from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError, one_line

FLAG = "--devcontainer-allow"
MAX_SHOWN = 80
MAX_TOLD = 20
MAX_WORD = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowances:
    """Real paths, and names as they are written. `local_env`: variables of this machine that may be read, with values.

    `features`: names of remote features, `*` at the end stands for any rest. `within`: of the roots, what who asks may
    have beside the folder of a definition; None: all.
    """

    roots: tuple[str, ...] = ()
    within: tuple[str, ...] | None = None
    mounts: tuple[str, ...] = ()  # what may be mounted besides
    initialize_command: bool = False
    privileged: bool = False
    compose: bool = False
    build_options: bool = False
    publish: bool = False  # ports on other addresses than this machine's own
    capabilities: frozenset[str] = frozenset()
    security_options: frozenset[str] = frozenset()
    run_args: frozenset[str] = frozenset()
    features: tuple[str, ...] = ()
    local_env: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What is not allowed: where it stands, what it says, why that matters, and the word that would allow it."""

    subject: str
    value: str
    why: str
    allow: str = ""  # "" = nothing does

    def __str__(self) -> str:
        can_be_written = self.allow and self.allow.isprintable() and len(self.allow) <= MAX_WORD
        remedy = f"{FLAG} {self.allow} allows it" if can_be_written else "nothing allows it"
        return f"{self.subject} {one_line(self.value, MAX_SHOWN)!r}: {self.why}; {remedy}"


_SWITCHES = {
    "initialize-command": "initialize_command",
    "privileged": "privileged",
    "compose": "compose",
    "build-options": "build_options",
    "publish": "publish",
}
WORDS = (*_SWITCHES, "capability:", "security-option:", "run-arg:", "mount:", "feature:", "local-env:")


def allowances_of(
    words: Iterable[str], roots: Sequence[str], environment: Mapping[str, str], *, mounts: Sequence[str] = ()
) -> Allowances:
    """From the operator's words: `privileged`, `capability:SYS_PTRACE`, `run-arg:--device`, `mount:/srv/cache`, ...

    `environment`: that of this machine, of which only the named variables are taken.

    Raises:
        InvalidArgumentError
    """
    allowed = Allowances(roots=tuple(roots), mounts=tuple(mounts))
    for word in words:
        kind, colon, value = word.partition(":")
        if not colon and kind in _SWITCHES:
            allowed = replace(allowed, **{_SWITCHES[kind]: True})
        elif value and f"{kind}:" in WORDS:
            allowed = _with(allowed, kind, value, environment)
        else:
            raise InvalidArgumentError(f"{FLAG} {word[:80]!r} is none of {', '.join(WORDS)} (with a value after ':')")
    return allowed


def refusal_of(name: str, violations: Sequence[Violation]) -> ForbiddenError:
    """Everything that is not allowed, at once."""
    more = f"; and {len(violations) - MAX_TOLD} more" if len(violations) > MAX_TOLD else ""
    told = "; ".join(f"({number}) {each}" for number, each in enumerate(violations[:MAX_TOLD], 1))
    return ForbiddenError(f"dev container {name!r} asks for more than the operator allows: {told}{more}")


def _with(allowed: Allowances, kind: str, value: str, environment: Mapping[str, str]) -> Allowances:
    match kind:
        case "capability":
            return replace(allowed, capabilities=allowed.capabilities | {capability_of(value)})
        case "security-option":
            return replace(allowed, security_options=allowed.security_options | {value})
        case "run-arg":
            if not value.startswith("-"):
                raise InvalidArgumentError(f"{FLAG} 'run-arg:{value[:80]}' names no option; write run-arg:--device")
            return replace(allowed, run_args=allowed.run_args | {value})
        case "mount":
            if not is_plain(value):
                raise InvalidArgumentError(f"{FLAG} 'mount:{value[:80]}' is no absolute path without '..'")
            return replace(allowed, mounts=(*allowed.mounts, value))
        case "feature":
            return replace(allowed, features=(*allowed.features, value))
        case _:
            # A variable that is not set reads as empty, as the CLI has it.
            return replace(allowed, local_env={**allowed.local_env, value: environment.get(value, "")})


def capability_of(name: str) -> str:
    """A capability's name in one form."""
    return name.strip().upper().removeprefix("CAP_")
