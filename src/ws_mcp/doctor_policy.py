"""What doctor says of the policy: who may do what, and whether that is wise."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from ws_mcp.auth import flags_of, policy_with
from ws_mcp.console import Mark, home_path
from ws_mcp.core.errors import PolicyError, StateError
from ws_mcp.core.policy.auth import Auth
from ws_mcp.core.policy.model import Policy
from ws_mcp.core.workspaces.tiers import DEFAULT_TIER
from ws_mcp.edge.token_file import TokenFile
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
        policy = policy_with(settings, settings.policy, flags_of(settings))
    except PolicyError as error:
        advice = "no server starts with it; `ws-mcp policy check FILE` shows every problem"
        return [Fact("policy", problem, Mark.BAD, advice, True) for problem in error.problems]
    return [
        Fact("policy", home_path(str(settings.policy)) + only),
        *(Fact("grant", line) for line in granted(policy)),
        *(Fact(topic, text) for topic, text in decided(policy, settings)),
        *_dangers(policy),
        *_files_of(policy.auth),
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


def _files_of(auth: Auth) -> Iterator[Fact]:
    """The files that say whose tokens are good."""
    if auth.tokens_file:
        try:
            count = len(TokenFile(Path(auth.tokens_file)).records())
        except StateError as error:
            yield Fact("auth", str(error), Mark.BAD, "over HTTP nobody is let in by a token of it", True)
        else:
            yield Fact("auth", f"{home_path(auth.tokens_file)} has {count} token{'' if count == 1 else 's'}")
    if auth.keys_file:
        yield _keys(Path(auth.keys_file))


def _keys(file: Path) -> Fact:
    shown = home_path(str(file))
    try:
        mode = file.stat().st_mode
    except OSError as error:
        advice = "over HTTP nobody is let in by a token of the issuer"
        return Fact("auth", f"the issuer's keys in {shown} cannot be read: {error.strerror}", Mark.BAD, advice)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        text = f"DANGER: others can write {shown}, and who can makes tokens for everybody"
        return Fact("auth", text, Mark.BAD, "chmod go-w", True)
    return Fact("auth", f"{shown} has the issuer's keys")
