"""Whether a container is what its definition would make now (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ws_mcp.core.devcontainers.canonical import canonical
from ws_mcp.core.devcontainers.definition import UNCOUNTED
from ws_mcp.core.devcontainers.model import Freshness, Record, Verdict
from ws_mcp.core.devcontainers.port import Definition, Fingerprint
from ws_mcp.core.devcontainers.reasons import pending_of, reasons_of
from ws_mcp.core.devcontainers.sightings import METADATA, metadata_of
from ws_mcp.core.errors import one_line

# What the CLI writes into the label, of which some has no effect on a container.
# Source: devcontainers/cli, imageMetadata.ts, pickConfigProperties.
LABELLED = frozenset(
    {
        "onCreateCommand", "updateContentCommand", "postCreateCommand", "postStartCommand", "postAttachCommand",
        "waitFor", "customizations", "mounts", "containerEnv", "containerUser", "init", "privileged", "capAdd",
        "securityOpt", "remoteUser", "userEnvProbe", "remoteEnv", "overrideCommand", "portsAttributes",
        "otherPortsAttributes", "forwardPorts", "shutdownAction", "updateRemoteUserUID", "hostRequirements",
    }
) - UNCOUNTED - {"hostRequirements"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What is known of a container from the engine. `metadata`: the text of its label."""

    created_at: datetime
    metadata: str = ""


def verdict_of(now: Fingerprint, record: Record | None, made: Made, definition: Definition) -> Verdict:
    """The verdict. Without a record, clean and adopted means: record `now` as what it was made from."""
    if record is None:
        return _adopted(now, made, definition)
    reasons = reasons_of(record.parts, now.parts) if record.parts else ()
    if not record.is_complete:
        why = f": {one_line(record.error)}" if record.error else ""
        reasons = (*reasons, f"its set-up was not finished{why}")
    if not record.parts and record.is_complete:
        return Verdict(
            freshness=Freshness.UNKNOWN,
            reasons=("what it was made from was not recorded",),
            untracked=now.untracked,
            is_adopted=record.is_adopted,
        )
    return Verdict(
        freshness=Freshness.DIRTY if reasons else Freshness.CLEAN,
        reasons=reasons,
        untracked=now.untracked,
        pending=pending_of(record.parts, now.parts),
        is_adopted=record.is_adopted,
    )


def _adopted(now: Fingerprint, made: Made, definition: Definition) -> Verdict:
    """Of a container that others made, from what they left: the label, and the times of the files."""
    reasons = _label_reasons(made.metadata, definition.properties)
    freshness = Freshness.DIRTY if reasons else Freshness.CLEAN
    if not reasons and now.newest_at and now.newest_at > made.created_at:
        freshness, reasons = Freshness.UNKNOWN, (f"{one_line(now.newest)} is newer than the container",)
    return Verdict(freshness=freshness, reasons=reasons, untracked=now.untracked, is_adopted=True)


def _label_reasons(metadata: str, properties: Mapping[str, object]) -> tuple[str, ...]:
    """Properties that differ from those in the label, whose last entry without an id is the definition's own.

    A label that cannot be read says nothing.
    """
    entries = metadata_of({METADATA: metadata}) or ()
    own = next((entry for entry in reversed(entries) if entry and "id" not in entry), None)
    if own is None:
        return ()
    then, now = (
        {name: canonical(value) for name, value in side.items() if _counts(name, value)} for side in (own, properties)
    )
    return reasons_of(
        {f"config/{name}": value for name, value in then.items()},
        {f"config/{name}": value for name, value in now.items()},
    )


def _counts(name: str, value: object) -> bool:
    return name in LABELLED and value not in (None, "", [], {})
