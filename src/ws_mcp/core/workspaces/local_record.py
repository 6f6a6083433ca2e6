"""What is kept of a local workspace, in its directory."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict

from ws_mcp.core.errors import StateError, is_unwritable, unwritten
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


def clear_record(home: Path, leftovers: Iterable[Path], *, keep_data: bool) -> None:
    """Remove a workspace's directory, or all of it but the data. Its record is last: until then it is listed.

    Raises:
        StateError: part of it stays.
    """
    try:
        if keep_data:
            for leftover in leftovers:
                leftover.unlink(missing_ok=True)
            (home / FILE).unlink(missing_ok=True)
            return
        for entry in home.iterdir() if home.exists() else ():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, onerror=_failed)
            elif entry.name != FILE:
                entry.unlink(missing_ok=True)
        shutil.rmtree(home, onerror=_failed)
    except OSError as error:
        raise unwritten(error, f"the local workspace cannot be removed: {error.strerror}; call again") from error


def _failed(_call: object, _path: object, failure: tuple[object, BaseException, object]) -> None:
    # What a process made unreadable for this user stays, as it always did; a disk that refuses is said.
    if isinstance(failure[1], OSError) and is_unwritable(failure[1]):
        raise failure[1]


def read_record(path: Path) -> Record | None:
    """The record in a file; None when there is none.

    Raises:
        StateError: it is damaged.
    """
    try:
        return Record.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # one of them is pydantic's
        place = path.parent.name
        raise StateError(f"the record of local workspace {place!r} is damaged; remove it by hand") from error
