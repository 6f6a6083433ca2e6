"""Policies for tests: values, files, and acts that a policy is asked about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ws_mcp.core.ids import SCOPES, Principal, PrincipalId
from ws_mcp.core.policy.acts import Act, Transport
from ws_mcp.core.policy.in_force import PolicyInForce
from ws_mcp.core.policy.model import OPEN, Grant, Policy
from ws_mcp.core.workspaces.rules import WorkspaceRules

ALICE, BOB = PrincipalId("alice"), PrincipalId("bob")
DIGEST = "sha256:" + "d" * 64
OTHER_DIGEST = "sha256:" + "e" * 64
WIDEST = WorkspaceRules(max_tier=4, may_pull=True, roots=(Path("/"),))
"""What flags say that narrow nothing."""


def everything(principal: str = "alice", **change: object) -> Grant:
    """A grant of all that there is, but for what is said."""
    return replace(OPEN.grants[0], principal=principal, **change)  # pyright: ignore[reportArgumentType]


def in_force(
    *grants: Grant,
    base: WorkspaceRules = WIDEST,
    transport: Transport = "stdio",
    max_tier: int = 2,
    is_read_only: bool = False,
    has_privileged_http: bool = False,
) -> PolicyInForce:
    """A policy of these grants, as a server has it."""
    policy = Policy(
        grants=grants, max_tier=max_tier, is_read_only=is_read_only, has_privileged_http=has_privileged_http
    )
    return PolicyInForce(lambda: policy, base, transport)


def act(verb: str, principal: str = "alice", *, is_read_only: bool = False, **arguments: object) -> Act:
    """A call of a tool."""
    return Act(
        principal=Principal(id=PrincipalId(principal), scopes=SCOPES),
        verb=verb,
        is_read_only=is_read_only,
        arguments=arguments,
    )


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    """A policy file."""
    path.write_text(text)
    path.chmod(mode)
    return path
