"""What is kept of a local workspace, in its directory (pure)."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict

from ws_mcp.core.ids import ChatId, PrincipalId, Scope


class Record(BaseModel):
    """What is kept of a local workspace, in its directory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    principal: str
    chat: str
    workspace: str
    tier: int
    spec: str
    environment: dict[str, str]
    created_at: AwareDatetime

    @property
    def scope(self) -> Scope:
        """Whose it is."""
        return Scope(principal=PrincipalId(self.principal), chat=ChatId(self.chat))
