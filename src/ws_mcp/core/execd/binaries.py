"""The execd programs that this package carries: one for each system and architecture."""

from __future__ import annotations

import hashlib
import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ws_mcp.core.errors import WsError

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class NoBinaryError(WsError):
    """The package has no execd for this platform."""

    def __init__(self, system: str, architecture: str) -> None:
        super().__init__(
            f"this build of ws-mcp has no execd for {system}/{architecture}; "
            "reinstall it from a wheel, or run `make execd` in a checkout"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """One execd program; `digest` (12 hex of its SHA-256) names the volume that delivers it."""

    path: Path
    digest: str
    system: str
    architecture: str


def host_binary() -> Binary:
    """The execd for this machine.

    Raises:
        NoBinaryError
    """
    return binary("darwin" if sys.platform == "darwin" else "linux", platform.machine())


@cache
def binary(system: str, architecture: str) -> Binary:
    """The execd for `system` ("linux", "darwin") and `architecture` (as the engine or the machine calls it).

    Raises:
        NoBinaryError
    """
    normal = _ARCHITECTURES.get(architecture.lower(), architecture)
    path = Path(__file__).parents[2] / "_execd" / f"execd-{system}-{normal}"
    if not path.is_file():
        raise NoBinaryError(system, normal)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return Binary(path=path, digest=digest, system=system, architecture=normal)
