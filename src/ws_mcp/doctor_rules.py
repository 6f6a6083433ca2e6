"""What doctor says of the operator's choices: how far callers are let, and the directories that they are given.

Blocking: it reads directories of this machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from ws_mcp.console import Mark, home_path, size_text
from ws_mcp.core.entries import CONFIG_LIMITS, HOME_LIMITS, TreeLimits
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.host.opening import weakness_of
from ws_mcp.core.host.tree import read_tree
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.core.workspaces.tiers import DEFAULT_TIER
from ws_mcp.facts import Fact

_POWERS = {
    3: "tier 3 is root on the engine's host",
    4: "tiers 3 and 4 are root on the engine's host, and tier 4 has the engine itself",
}


def rule_facts(rules: WorkspaceRules, *, has_policy: bool = False) -> list[Fact]:
    """About everything that flags can choose for container workspaces but images; tiers are a policy's, if any."""
    return [
        *(() if has_policy else (_tiers(rules.max_tier),)),
        *(_root(root) for root in rules.roots),
        *(_tree("template", name, path, CONFIG_LIMITS) for name, path in sorted(rules.templates.items())),
        *(_tree("home", name, path, HOME_LIMITS) for name, path in sorted(rules.homes.items())),
    ]


def _tiers(most: int) -> Fact:
    if most > DEFAULT_TIER:
        advice = "leave --max-tier out, unless every caller, and all that it reads, may do what root may"
        return Fact("tiers", f"DANGER: {_POWERS[most]}, and every caller may ask for it", Mark.WARN, advice, True)
    if most < DEFAULT_TIER:
        text = f"a call that names no tier asks for {DEFAULT_TIER}, and is refused: only tier {most} is granted"
        return Fact("tiers", text, Mark.WARN, "callers have to say tier 1; or leave --max-tier out")
    return Fact("tiers", "callers may ask for tiers 1 and 2; neither is root on the host")


def _root(path: Path) -> Fact:
    shown = home_path(str(path))
    if not path.is_dir():
        return Fact("root", f"{shown} is no directory", Mark.WARN, "make it, or leave it out of --root")
    if found := weakness(path):
        why, advice = found
        return Fact("root", f"{shown} could be swapped: {why}", Mark.WARN, advice)
    if Path.home().is_relative_to(path.resolve()):
        text = f"{shown} holds your whole home directory: callers may have your keys, too"
        return Fact("root", text, Mark.WARN, "name the directories of your projects instead")
    return Fact("root", f"callers may have folders below {shown}")


def _tree(kind: str, name: str, path: Path, limits: TreeLimits) -> Fact:
    try:
        entries = read_tree(path, limits, f"{kind} {name!r}")
    except InvalidArgumentError as error:
        return Fact(kind, str(error), Mark.WARN, f"workspaces cannot be made with it; it is {home_path(str(path))}")
    if found := weakness(path):
        why, advice = found
        return Fact(kind, f"{name!r} could be changed by others: {why}", Mark.WARN, advice)
    size = size_text(sum(len(entry.content) for entry in entries))
    return Fact(kind, f"{name!r} has {len(entries)} file{'s' if len(entries) != 1 else ''}, {size}")


def weakness(path: Path) -> tuple[str, str] | None:
    """How others could put something else in the place of a directory, or into it, and what to do about that."""
    for directory, child in _steps(path):
        try:
            found = weakness_of(directory.stat(), child.stat(), os.geteuid())
        except OSError as error:
            return f"{home_path(str(directory))} cannot be looked at ({error.strerror})", "look at its permissions"
        if found:
            why, _, advice = found.partition("; ")
            return f"{home_path(str(directory))} {why}", advice
    return None


def _steps(path: Path) -> Iterator[tuple[Path, Path]]:
    """Each directory on the way with what is in it, and the last one with itself."""
    real = path.resolve()
    return pairwise((*reversed(real.parents), real, real))
