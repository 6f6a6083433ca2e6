"""What a wish for a container workspace may hold, said before anything is done (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.workspaces.model import Probe, WorkspaceSpec
from ws_mcp.core.workspaces.recipe import HOST, NONE, Recipe
from ws_mcp.core.workspaces.tiers import Tier

RESERVED = ("WSMCP_", "WS_MCP_")
RESTARTS = ("no", "on-failure", "unless-stopped")
MAX_VARIABLES = 128
MAX_ENVIRONMENT_BYTES = 128 * 1024
MAX_PORTS = 32
MAX_SECRETS = 64
MAX_SECRET_BYTES = 64 * 1024
MAX_WORDS = 256
MAX_WORD_BYTES = 4096
MAX_IDLE_S = 30 * 86_400
MAX_PROBE_S = 300.0
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_USER = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,63}(?::[a-z0-9_][a-z0-9_.-]{0,63})?", re.ASCII)
_NETWORK = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.ASCII)
_PLATFORM = re.compile(r"linux/[a-z0-9]+(?:/v[0-9]+)?", re.ASCII)
_UNSAFE_DIRECTORIES = ("/proc", "/sys", "/dev")


def check_spec(spec: WorkspaceSpec) -> None:
    """The parts of a wish that need no knowledge of what is there.

    Raises:
        InvalidArgumentError
    """
    check_environment(spec.environment or {})
    _check_secrets(spec.content.secrets or {})
    _check_words(spec.command or ())
    if spec.ready is not None:
        _check_probe(spec.ready)
    if spec.user and not _USER.fullmatch(spec.user):
        raise InvalidArgumentError(f"user {spec.user[:60]!r} cannot be used: a name or a number, with :group if wanted")
    if spec.cwd:
        check_directory(spec.cwd)
    if spec.restart is not None and spec.restart not in RESTARTS:
        raise InvalidArgumentError(f"restart {spec.restart[:40]!r} does not exist; there are {', '.join(RESTARTS)}")
    if spec.platform and not _PLATFORM.fullmatch(spec.platform):
        raise InvalidArgumentError(f"platform {spec.platform[:40]!r} cannot be used: linux/amd64, linux/arm64, ...")
    if spec.network is not None and (spec.network == HOST or not _NETWORK.fullmatch(spec.network)):
        raise InvalidArgumentError(
            f"network {spec.network[:60]!r} cannot be used: own, none, or a name of a-z, 0-9, '_', '.', '-' that "
            "workspaces of this chat share"
        )
    if spec.idle_stop_s is not None and not 0 <= spec.idle_stop_s <= MAX_IDLE_S:
        raise InvalidArgumentError(f"idle_stop_s {spec.idle_stop_s} cannot be used: 0 (never) to {MAX_IDLE_S}")


def check_recipe(recipe: Recipe, level: Tier) -> None:
    """What only the whole request tells: ports and networks of its tier.

    Raises:
        InvalidArgumentError
    """
    _check_ports(recipe.ports)
    if level.shares_network != (recipe.network == HOST):
        raise InvalidArgumentError(
            f"tier {level.number} is on the host's network; leave `network` out"
            if level.shares_network
            else f"tier {level.number} has no host network; ask for network own"
        )
    if level.is_offline and recipe.network != NONE:
        raise InvalidArgumentError(f"tier {level.number} has no network: leave `network` out, or use tier 2")
    if recipe.ports and level.is_offline:
        raise InvalidArgumentError(f"tier {level.number} has no network, so no port can be published; use tier 2")
    if recipe.ports and recipe.network == NONE:
        raise InvalidArgumentError("a workspace with network none can publish no port; leave `network` or `ports` out")
    if recipe.mounts and not level.has_binds:
        raise InvalidArgumentError(f"tier {level.number} has nothing of the host: leave `mounts` out, or use tier 2")
    if recipe.home and level.is_read_only and not recipe.has_volume:
        raise InvalidArgumentError(
            f"tier {level.number} without a volume has no home directory that can be written: leave `home` out, or "
            "keep the volume"
        )
    if level.user and recipe.user:
        raise InvalidArgumentError(f"tier {level.number} runs as {level.user} always; leave `user` out, or use tier 2")


def check_environment(environment: Mapping[str, str]) -> None:
    """Variables that a container may be given.

    Raises:
        InvalidArgumentError: no value is repeated in the text.
    """
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name):
            raise InvalidArgumentError(f"environment name {name[:80]!r} cannot be used: letters, digits and '_' only")
        if name.startswith(RESERVED):
            raise InvalidArgumentError(
                f"environment name {name[:80]!r} is reserved: names with {' or '.join(RESERVED)} are the server's"
            )
        if "\0" in value:
            raise InvalidArgumentError(f"the value of {name!r} has a NUL byte")
    size = sum(len(name) + len(value.encode(errors="replace")) for name, value in environment.items())
    if size > MAX_ENVIRONMENT_BYTES or len(environment) > MAX_VARIABLES:
        raise InvalidArgumentError("the environment is too large: at most 128 variables and 128 KiB in all; use a file")


def check_directory(path: str) -> None:
    """A working directory inside a container.

    Raises:
        InvalidArgumentError
    Source: CVE-2024-21626 (a directory below /proc/self/fd of the runtime was the host's).
    """
    parts = path.split("/")
    is_plain = path.startswith("/") and "\0" not in path and not {"..", "."} & set(parts) and len(path) <= 4096
    if not is_plain or any(f"{path}/".startswith(f"{unsafe}/") for unsafe in _UNSAFE_DIRECTORIES):
        raise InvalidArgumentError(
            f"directory {path[:80]!r} cannot be used: absolute, without '..', not below /proc, /sys or /dev"
        )


def _check_ports(ports: tuple[int, ...]) -> None:
    for port in ports:
        if not 1 <= port <= 65535:
            raise InvalidArgumentError(f"port {port} cannot be published: 1 to 65535")
    if len(set(ports)) != len(ports) or len(ports) > MAX_PORTS:
        raise InvalidArgumentError(f"ports: at most {MAX_PORTS}, each once")


def _check_secrets(secrets: Mapping[str, str]) -> None:
    for name, value in secrets.items():
        if not _FILE.fullmatch(name):
            raise InvalidArgumentError(f"secret name {name[:80]!r} cannot be used: it becomes a file of /run/secrets")
        if len(value.encode(errors="surrogatepass")) > MAX_SECRET_BYTES:
            raise InvalidArgumentError(f"secret {name!r} is too long: at most {MAX_SECRET_BYTES} bytes")
    if len(secrets) > MAX_SECRETS:
        raise InvalidArgumentError(f"secrets: at most {MAX_SECRETS}")


def _check_words(words: tuple[str, ...]) -> None:
    if len(words) > MAX_WORDS or any("\0" in word or len(word.encode()) > MAX_WORD_BYTES for word in words):
        raise InvalidArgumentError(
            f"command: at most {MAX_WORDS} words of {MAX_WORD_BYTES} bytes without NUL; write a script to a file"
        )
    if words and not words[0].strip():
        raise InvalidArgumentError("command: its first word, the program, is empty")


def _check_probe(probe: Probe) -> None:
    if sum(bool(kind) for kind in (probe.tcp, probe.http, probe.command)) != 1:
        raise InvalidArgumentError("ready: give exactly one of tcp (a port), http (a port) and command (a shell line)")
    if not 0 <= (probe.tcp or probe.http) <= 65535:
        raise InvalidArgumentError(f"ready: port {probe.tcp or probe.http} does not exist; 1 to 65535")
    if not probe.path.startswith("/") or not probe.path.isprintable() or " " in probe.path or len(probe.path) > 1024:
        raise InvalidArgumentError("ready: path begins with '/', without blanks")
    if not 0 < probe.wait_s <= MAX_PROBE_S:
        raise InvalidArgumentError(f"ready: wait_s is more than 0 and at most {MAX_PROBE_S:g}")
