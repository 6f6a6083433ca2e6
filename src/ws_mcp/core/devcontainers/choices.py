"""What the operator chose for dev containers (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DevContainerChoices:
    """The operator's choices. Without roots there are no dev containers."""

    roots: tuple[Path, ...] = ()
    closed: tuple[Path, ...] = ()  # as in `WorkspaceRules`
    allow: tuple[str, ...] = ()  # see `allowances.WORDS`
    cli: str = ""  # "" = it is looked for
    engine: str = ""  # as the operator named it, for the CLI
    labels: Mapping[str, str] = field(default_factory=dict[str, str])  # only what carries all of them
