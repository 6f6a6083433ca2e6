"""What a local workspace was asked for, comparable, and what of a wish it cannot have (pure)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.workspaces.model import Content, Sizes, WorkspaceSpec
from ws_mcp.core.workspaces.tiers import DEFAULT_TIER

_MISSING = ("access", "folder", "mounts", "network", "command", "user", "cwd", "restart", "idle_stop_s", "ready")


def check_local(spec: WorkspaceSpec, *, is_shared: bool = False) -> None:
    """What only a container can have; `is_shared`: the state is, by servers of several machines.

    Raises:
        InvalidArgumentError
    """
    if is_shared:
        raise InvalidArgumentError(
            "a local workspace is of one machine, and this server shares its state with servers of others "
            "(--state-database): ask for kind 'container'"
        )
    if spec.ports:
        raise InvalidArgumentError("a local workspace cannot publish ports; leave `ports` out, or use a container")
    asked = [name for name in _MISSING if getattr(spec, name) is not None]
    asked += ["image"] if spec.image else []
    asked += ["limits"] if spec.sizes != Sizes() else []
    asked += ["files, template, home or secrets"] if spec.content != Content() else []
    if asked:
        raise InvalidArgumentError(f"a local workspace has no {', '.join(asked)}; leave that out, or use a container")
    if spec.tier > DEFAULT_TIER:
        raise InvalidArgumentError(f"a local workspace is of tier 1 or 2, not {spec.tier}; leave `tier` out")


def with_defaults(spec: WorkspaceSpec) -> WorkspaceSpec:
    """What a new local workspace is made from where the caller left something open."""
    return replace(
        spec,
        tier=spec.tier or DEFAULT_TIER,
        environment={} if spec.environment is None else spec.environment,
        has_volume=True if spec.has_volume is None else spec.has_volume,
    )


def spec_label(spec: WorkspaceSpec) -> str:
    """What is asked for, comparable; environment values are there only as a digest."""
    values = None if spec.environment is None else json.dumps(dict(spec.environment), sort_keys=True)
    asked = {
        "tier": spec.tier or None,
        "volume": spec.has_volume,
        "environment": None if values is None else hashlib.sha256(values.encode()).hexdigest()[:16],
    }
    return json.dumps(asked, sort_keys=True, separators=(",", ":"))


def differences(asked: str, found: str) -> tuple[str, ...]:
    """Which parts of two specs differ, as `tier is 2, not 1`; what is not asked for does not differ."""
    want, have = json.loads(asked), json.loads(found or "{}")
    return tuple(
        "the environment differs" if part == "environment" else f"{part} is {have.get(part)!r}, not {want[part]!r}"
        for part in sorted(want)
        if want[part] is not None and want[part] != have.get(part)
    )
