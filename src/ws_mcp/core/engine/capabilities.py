"""What a container may do as root: engines say the same in different words (pure)."""

from __future__ import annotations

from collections.abc import Iterable

# Source: runc's and Podman's default profile; what a container has unless it is told otherwise.
DEFAULT_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)


def capabilities_of(cap_add: Iterable[str], cap_drop: Iterable[str]) -> frozenset[str]:
    """The capabilities of a container: "ALL" stands for those that are not named."""
    added, dropped = ({name.upper().removeprefix("CAP_") for name in names} for names in (cap_add, cap_drop))
    if "ALL" in added:
        return frozenset({"ALL"} | {f"-{name}" for name in dropped - {"ALL"}})
    return frozenset(added | (set() if "ALL" in dropped else DEFAULT_CAPABILITIES - dropped))
