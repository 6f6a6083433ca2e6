"""The operator's rules at each step of making a dev container (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from posixpath import normpath

from ws_mcp.core.devcontainers.allowances import Allowances, Violation
from ws_mcp.core.devcontainers.merged import Cleared, check_container, clear
from ws_mcp.core.devcontainers.model import Key, Record
from ws_mcp.core.devcontainers.mount_rules import RealPath
from ws_mcp.core.devcontainers.policy import check_definition, check_image, check_merged
from ws_mcp.core.devcontainers.port import Definition
from ws_mcp.core.engine.model import Container, Volume

_NOBODY = Key(folder="/", config="/")  # what a container that exists can do does not depend on whose it is


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPolicy:
    """What the operator does not allow, as sentences; none = allowed. `real`: where a path really leads."""

    allowances: Allowances
    real: RealPath = normpath

    def of_definition(self, definition: Definition) -> tuple[str, ...]:
        """Before anything is run."""
        return _texts(check_definition(definition.key, definition.properties, self.allowances, self.real))

    def of_image(self, definition: Definition, labels: Mapping[str, str]) -> tuple[str, ...]:
        """With what the image's labels add, before a container is made of it."""
        return _texts(check_image(definition.key, labels, self.allowances, self.real))

    def of_merged(self, definition: Definition, merged: Mapping[str, object]) -> tuple[str, ...]:
        """With what the CLI makes of it all, before `up`."""
        return _texts(check_merged(definition.key, merged, self.allowances, self.real))

    def of_container(
        self, container: Container, definition: Definition | None, volumes: Iterable[Volume] = ()
    ) -> tuple[str, ...]:
        """Of what was made, inspected."""
        key = definition.key if definition is not None else _NOBODY
        return _texts(check_container(container, key, self.allowances, self.real, volumes))

    def clear(self, container: Container, record: Record, volumes: Iterable[Volume] = ()) -> Cleared:
        """Proof that execd may be brought into an inspected container.

        Raises:
            ForbiddenError
        """
        return clear(container, record, self.allowances, self.real, volumes)


def _texts(violations: Iterable[Violation]) -> tuple[str, ...]:
    return tuple(str(violation) for violation in violations)
