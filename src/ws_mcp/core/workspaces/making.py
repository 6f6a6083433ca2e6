"""Workspaces that this server is making: they count before an engine shows them, so no two calls get the last place."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from ws_mcp.core.errors import LimitError
from ws_mcp.core.ids import PlaceId, Scope


class Making:
    """Whose they are. Others of the moment that other servers make are not known here."""

    def __init__(self) -> None:
        self._of: dict[Scope, set[PlaceId]] = {}

    def of(self, scope: Scope) -> frozenset[PlaceId]:
        """Those of a chat; to be asked before it is looked what there is, since one may appear meanwhile."""
        return frozenset(self._of.get(scope, ()))

    def begin(self, scope: Scope, place: PlaceId, there: AbstractSet[str], most: int) -> None:
        """One more, beside those that are `there` or being made, until `end`.

        Raises:
            LimitError: there are as many as may be.
        """
        count = len((there | self.of(scope)) - {place})
        if count >= most:
            raise LimitError(
                f"this chat has {count} workspaces, as many as it may ({most}): remove one with remove_workspace, or "
                "let the operator raise --workspaces"
            )
        self._of.setdefault(scope, set()).add(place)

    def end(self, scope: Scope, place: PlaceId) -> None:
        """It is there, or it is not being made."""
        left = self._of.get(scope, set())
        left.discard(place)
        if not left:
            self._of.pop(scope, None)
