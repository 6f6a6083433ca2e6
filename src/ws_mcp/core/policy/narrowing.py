"""What one principal may of all that the operator's flags allow: never more than both say (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from ws_mcp.core.ids import PrincipalId
from ws_mcp.core.policy.acts import Transport
from ws_mcp.core.policy.model import NOTHING, Policy
from ws_mcp.core.workspaces.model import Sizes
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.core.workspaces.tiers import DEFAULT_TIER

T = TypeVar("T")


def rules_for(base: WorkspaceRules, policy: Policy, principal: PrincipalId, transport: Transport) -> WorkspaceRules:
    """What workspaces of a principal may be. `base`: what the flags say for everybody."""
    grant = policy.grant_of(principal) or NOTHING
    return replace(
        base,
        max_tier=min(base.max_tier, grant.max_tier, most_of_all(policy, transport)),
        images=grant.images,
        may_pull=base.may_pull and grant.may_pull,
        roots=common(base.roots, grant.roots),
        access=grant.access,
        templates=_granted(base.templates, grant.templates),
        homes=_granted(base.homes, grant.homes),
        runtimes=_granted(base.runtimes, grant.runtimes),
        largest=_least(base.largest, grant.largest),
        workspaces=min(base.workspaces, base.workspaces if grant.workspaces is None else grant.workspaces),
        has_local=grant.has_local,
        has_devcontainers=grant.has_devcontainers,
    )


def most_of_all(policy: Policy, transport: Transport) -> int:
    """The highest tier that the policy gives anybody who comes by this transport."""
    return policy.max_tier if transport == "stdio" or policy.has_privileged_http else min(policy.max_tier, DEFAULT_TIER)


def common(first: Iterable[Path], second: Iterable[Path]) -> tuple[Path, ...]:
    """The directories that are below one of each, by their names."""
    pairs = ((one, other) for one in first for other in second)
    both = (_deeper(one, other) for one, other in pairs)
    return tuple(dict.fromkeys(path for path in both if path is not None))


def is_granted(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name is one of those that a grant lists."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _deeper(one: Path, other: Path) -> Path | None:
    if one.is_relative_to(other):
        return one
    return other if other.is_relative_to(one) else None


def _granted(known: Mapping[str, T], patterns: tuple[str, ...]) -> dict[str, T]:
    return {name: value for name, value in known.items() if is_granted(name, patterns)}


def _least(base: Sizes, grant: Sizes) -> Sizes:
    pairs = {each.name: (getattr(base, each.name), getattr(grant, each.name)) for each in fields(Sizes)}
    return Sizes(**{name: min(most, said) if said else most for name, (most, said) in pairs.items()})
