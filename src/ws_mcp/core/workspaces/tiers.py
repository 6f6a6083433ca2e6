"""What each tier allows, as values (pure). Tiers 3 and 4 are host root and are not offered yet."""

from __future__ import annotations

from dataclasses import dataclass

from ws_mcp.core.engine.model import Limits, TmpfsMount
from ws_mcp.core.errors import InvalidArgumentError

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """How far a container is let: everything that the engine is told about it."""

    number: int
    limits: Limits
    cap_drop: tuple[str, ...]
    user: str = ""  # "" = the image's own
    network: str = ""  # "" = the engine's default
    is_read_only: bool = False
    tmpfs: tuple[TmpfsMount, ...] = ()
    security_options: tuple[str, ...] = ("no-new-privileges",)


TIERS = {
    1: Tier(
        number=1,
        limits=Limits(memory_bytes=256 * MIB, cpus=0.5, pids=64, shm_bytes=64 * MIB, nofile=4096),
        cap_drop=("ALL",),
        user="65532:65532",
        network="none",
        is_read_only=True,
        tmpfs=(TmpfsMount(target="/tmp", options="size=64m,noexec,nosuid,nodev,mode=1777"),),  # noqa: S108 - inside
    ),
    2: Tier(
        number=2,
        limits=Limits(memory_bytes=512 * MIB, cpus=1.0, pids=256, shm_bytes=64 * MIB, nofile=4096),
        cap_drop=("NET_RAW", "MKNOD", "SETFCAP", "AUDIT_WRITE"),
    ),
}


def tier(number: int) -> Tier:
    """The tier of this number.

    Raises:
        InvalidArgumentError: unknown (never another tier instead).
    """
    if number not in TIERS:
        raise InvalidArgumentError(
            f"tier {number} is not available: 1 (no network, read-only system, no capabilities) or 2 (the default)"
        )
    return TIERS[number]
