"""What is kept of a local workspace, in its directory."""

from __future__ import annotations

from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from ws_mcp.core.errors import StateError
from ws_mcp.core.ids import ChatId, PrincipalId, Scope

FILE = "workspace.json"


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


def read_record(path: Path) -> Record | None:
    """The record in a file; None when there is none.

    Raises:
        StateError: it is damaged.
    """
    try:
        return Record.model_validate_json(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        place = path.parent.name
        raise StateError(f"the record of local workspace {place!r} is damaged; remove it by hand") from error
