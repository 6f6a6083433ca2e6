"""What each tier allows, as values, and which tier a container really has (pure).

Tiers 3 and 4 are root on the engine's host; an operator has to grant them.
Source: docs/security.md, "Tiers".
"""

from __future__ import annotations

from dataclasses import dataclass

from ws_mcp.core.engine.capabilities import capabilities_of
from ws_mcp.core.engine.model import BindMount, Container
from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError
from ws_mcp.core.workspaces.model import Sizes

MIB = 1024 * 1024
NOFILE = 4096
SHM_BYTES = 64 * MIB
DEFAULT_TIER = 2
TMP = "/tmp"  # noqa: S108 - inside a container
SOCKET_TARGET = "/var/run/docker.sock"
NO_NEW_PRIVILEGES = "no-new-privileges"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """How far a container is let: everything that the engine is told about it but its sizes, which can be chosen."""

    number: int
    sizes: Sizes
    cap_drop: tuple[str, ...] = ()
    user: str = ""  # "" = the image's own
    is_offline: bool = False
    is_read_only: bool = False
    is_privileged: bool = False
    shares_pids: bool = False
    shares_network: bool = False
    has_engine_socket: bool = False
    has_binds: bool = True
    security_options: tuple[str, ...] = (NO_NEW_PRIVILEGES,)


TIERS = {
    1: Tier(
        number=1,
        sizes=Sizes(memory_mib=256, cpus=0.5, pids=64, tmpfs_mib=64, log_mib=10),
        cap_drop=("ALL",),
        user="65532:65532",
        is_offline=True,
        is_read_only=True,
        has_binds=False,
    ),
    2: Tier(
        number=2,
        sizes=Sizes(memory_mib=512, cpus=1.0, pids=256, log_mib=10),
        cap_drop=("NET_RAW", "MKNOD", "SETFCAP", "AUDIT_WRITE"),
    ),
    3: Tier(
        number=3,
        sizes=Sizes(memory_mib=2048, cpus=2.0, pids=1024, log_mib=10),
        is_privileged=True,
        shares_pids=True,
        security_options=(),
    ),
    4: Tier(
        number=4,
        sizes=Sizes(memory_mib=4096, cpus=4.0, pids=4096, log_mib=10),
        is_privileged=True,
        shares_pids=True,
        shares_network=True,
        has_engine_socket=True,
        security_options=(),
    ),
}


def tier(number: int) -> Tier:
    """The tier of this number.

    Raises:
        InvalidArgumentError: unknown (never another tier instead).
    """
    if number not in TIERS:
        raise InvalidArgumentError(
            f"tier {number} does not exist: 1 (no network, read-only system, no capabilities), 2 (the default), "
            "3 and 4 (root on the host, only where the operator grants them)"
        )
    return TIERS[number]


def granted(number: int, most: int) -> Tier:
    """The tier of this number, if the operator grants it.

    Raises:
        InvalidArgumentError: there is no such tier.
        ForbiddenError: it is above `most`.
    """
    found = tier(number)
    if number > most:
        raise ForbiddenError(
            f"tier {number} is not granted here: the most is tier {most}. Use that, or ask the operator to start "
            f"ws-mcp with --max-tier {number}"
            + (", which is root on the host" if number > DEFAULT_TIER else "")
            + ", or to raise max_tier in the policy"
        )
    return found


def effective_tier(found: Container) -> int:
    """The tier whose powers a container has, by what the engine reports about it; never by its labels.

    What fits into no tier counts as the lowest tier that allows as much.
    """
    binds_socket = any(isinstance(mount, BindMount) and mount.source.endswith(".sock") for mount in found.mounts)
    if binds_socket or found.network == "host":
        return 4
    if found.is_privileged or found.pid_mode == "host" or found.cap_add:
        return 3
    usual = capabilities_of((), TIERS[2].cap_drop)
    if NO_NEW_PRIVILEGES not in found.security_options or not found.capabilities <= usual:
        return 3
    is_locked = (
        not found.capabilities
        and found.is_read_only
        and found.network == "none"
        and found.user.partition(":")[0] not in ("", "0", "root")
        and not any(isinstance(mount, BindMount) for mount in found.mounts)
    )
    return 1 if is_locked else 2
