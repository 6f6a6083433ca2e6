"""What doctor says of the policy: who may do what, and whether that is wise."""

from __future__ import annotations

from collections.abc import Iterator

from ws_mcp.console import Mark, home_path
from ws_mcp.core.errors import PolicyError
from ws_mcp.core.policy.file import read_policy
from ws_mcp.core.policy.model import Policy
from ws_mcp.core.workspaces.tiers import DEFAULT_TIER
from ws_mcp.facts import Fact
from ws_mcp.policy import doubts
from ws_mcp.policy_shown import decided, granted
from ws_mcp.settings import Settings


def policy_facts(settings: Settings) -> list[Fact]:
    """About the policy file, or that there is none. Blocking: it reads the file."""
    only = "; --read-only: only tools that change nothing" if settings.read_only else ""
    if settings.policy is None:
        return [Fact("policy", f"none: everybody who can connect may have what the flags allow{only}")]
    try:
        policy = read_policy(settings.policy, settings.root)
    except PolicyError as error:
        advice = "no server starts with it; `ws-mcp policy check FILE` shows every problem"
        return [Fact("policy", problem, Mark.BAD, advice, True) for problem in error.problems]
    return [
        Fact("policy", home_path(str(settings.policy)) + only),
        *(Fact("grant", line) for line in granted(policy)),
        *(Fact(topic, text) for topic, text in decided(policy, settings)),
        *_dangers(policy),
        *(Fact("policy", doubt, Mark.WARN) for doubt in doubts(policy)),
    ]


def _dangers(policy: Policy) -> Iterator[Fact]:
    for grant in policy.grants:
        most = min(grant.max_tier, policy.max_tier)
        if most <= DEFAULT_TIER:
            continue
        what = f"DANGER: {grant.principal} may have tier {most}, which is root on the engine's host"
        if policy.has_privileged_http:
            yield Fact("policy", f"{what}, over HTTP", Mark.BAD, "take over_http out of [privileged]", True)
        else:
            advice = "lower max_tier, unless they, and all that their model reads, may do what root may"
            yield Fact("policy", f"{what}, over stdio", Mark.WARN, advice, True)
