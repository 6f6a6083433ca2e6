"""What the operator chose of all that the core can be (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ws_mcp.core.devcontainers.choices import DevContainerChoices
from ws_mcp.core.ids import PrincipalId
from ws_mcp.core.policy.limits import LimitsNow, unlimited
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.workspaces.local import LocalRules
from ws_mcp.core.workspaces.rules import RulesOf, WorkspaceRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the operator chose."""

    state: Path
    may_stand_in: bool = False  # of a state that is damaged: look at what there is, and change nothing
    database: str = field(default="", repr=False)  # where the state is instead, if servers of several machines share it
    workspaces: WorkspaceRules = field(default_factory=WorkspaceRules)
    narrowed: RulesOf | None = None  # what one principal may of it, where a policy says that
    local: LocalRules = field(default_factory=LocalRules)
    devcontainers: DevContainerChoices = field(default_factory=DevContainerChoices)
    keeps_local: bool = False
    limits: ProcessLimits = field(default_factory=ProcessLimits)
    ceilings: LimitsNow = unlimited  # beside those of one chat, above

    def rules_of(self, principal: PrincipalId) -> WorkspaceRules:
        """What workspaces of a principal may be."""
        return self.narrowed(principal) if self.narrowed else self.workspaces
