"""The operator's policy as values: what each principal may (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ws_mcp.core.ids import PrincipalId
from ws_mcp.core.policy.auth import Auth
from ws_mcp.core.policy.limits import Limits
from ws_mcp.core.workspaces.model import Sizes
from ws_mcp.core.workspaces.mounts import Access
from ws_mcp.core.workspaces.tiers import DEFAULT_TIER, TIERS

Asking = Literal["never", "auto", "always"]
"""Whether the person is asked before what cannot be undone, from lax to strict."""
EVERY = "*"
ALL = (EVERY,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one principal may. An empty tuple allows nothing of its kind, `*` in one everything that there is."""

    principal: str  # EVERY: whoever has no grant of their own
    tools: tuple[str, ...] = ()  # names, or patterns of names
    max_tier: int = DEFAULT_TIER
    images: tuple[str, ...] = ()  # patterns, see `image_patterns`
    may_pull: bool = False
    roots: tuple[Path, ...] = ()
    access: Access = Access.READ_ONLY  # the most that may be had to a folder of the host
    templates: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    has_local: bool = False
    has_devcontainers: bool = False
    workspaces: int | None = None  # of one chat; None: as many as the server allows
    largest: Sizes = field(default_factory=Sizes)  # 0: as the server has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who may do what. Whoever no grant names may nothing."""

    grants: tuple[Grant, ...] = ()
    is_read_only: bool = False  # wins over every grant
    max_tier: int = DEFAULT_TIER  # for all: tiers 3 and 4 need this word and a grant
    has_privileged_http: bool = False  # tiers 3 and 4 over HTTP
    limits: Limits | None = None  # None: those of the transport
    audits: bool | None = None  # None: yes, since there is a file
    confirm: Asking = "never"
    auth: Auth = field(default_factory=Auth)  # over HTTP

    def grant_of(self, principal: PrincipalId) -> Grant | None:
        """The grant that counts for a principal: their own, else everybody's."""
        own = next((grant for grant in self.grants if grant.principal == principal), None)
        return own or next((grant for grant in self.grants if grant.principal == EVERY), None)


NOTHING = Grant(principal="", max_tier=1, access=Access.NONE, workspaces=0)
"""What whoever has no grant may."""

OPEN = Policy(
    grants=(
        Grant(
            principal=EVERY,
            tools=ALL,
            max_tier=max(TIERS),
            images=ALL,
            may_pull=True,
            roots=(Path("/"),),
            access=Access.READ_WRITE,
            templates=ALL,
            homes=ALL,
            runtimes=ALL,
            has_local=True,
            has_devcontainers=True,
        ),
    ),
    max_tier=max(TIERS),
)
"""No policy of its own: what the operator says by flags, tiers 3 and 4 not over HTTP."""
