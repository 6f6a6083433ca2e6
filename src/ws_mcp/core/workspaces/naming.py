"""Names, labels and signatures of engine objects, both ways (pure).

A name is a hash, never a truncation, so that two workspaces cannot meet. Labels can be written by anybody who has the
engine, and by every image: they count only with a signature that is bound to the object's name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import ChatId, PlaceId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.workspaces.model import WorkspaceSpec

PREFIX = "dev.ws-mcp."
INSTANCE = PREFIX + "instance"
PRINCIPAL = PREFIX + "principal"
CHAT = PREFIX + "chat"
WORKSPACE = PREFIX + "workspace"
TIER = PREFIX + "tier"
SPEC = PREFIX + "spec"
BINARY = PREFIX + "execd"
KIND = PREFIX + "kind"
SIGNATURE = PREFIX + "signature"

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


class Asked(BaseModel):
    """A spec label, read back. None: it was left open."""

    model_config = ConfigDict(frozen=True)

    image: str | None = None
    tier: int | None = None
    ports: tuple[int, ...] | None = None
    has_volume: Annotated[bool | None, Field(alias="volume")] = None


def workspace_name(text: str) -> WorkspaceName:
    """A name that a chat may give to a workspace.

    Raises:
        InvalidArgumentError
    """
    if not _NAME.fullmatch(text):
        raise InvalidArgumentError(
            f"workspace name {text[:80]!r} cannot be used: 1 to 63 characters of a-z, 0-9, '_', '.', '-', "
            "beginning with a letter or digit"
        )
    return WorkspaceName(text)


def place_name(instance: str, scope: Scope, name: WorkspaceName) -> PlaceId:
    """The engine name of a workspace: 160 bits of SHA-256 over everything that tells it from others."""
    digest = hashlib.sha256(f"{instance}\0{scope.principal}\0{scope.chat}\0{name}".encode()).digest()
    return PlaceId("wsmcp-" + base64.b32encode(digest[:20]).decode().lower())


def volume_name(place: PlaceId) -> str:
    """The named volume with the workspace's data."""
    return f"{place}-data"


def spec_label(spec: WorkspaceSpec) -> str:
    """What is asked for, comparable; environment values are there only as a digest, since labels are listed."""
    environment = None if spec.environment is None else _digest(spec.environment)
    asked = {
        "image": spec.image or None,
        "tier": spec.tier or None,
        "ports": None if spec.ports is None else sorted(spec.ports),
        "volume": spec.has_volume,
        "environment": environment,
    }
    return json.dumps(asked, sort_keys=True, separators=(",", ":"))


def asked_of(label: str) -> Asked:
    """What a spec label says, where it says it."""
    return Asked.model_validate_json(label or "{}")


def differences(asked: str, found: str) -> tuple[str, ...]:
    """Which parts of two spec labels differ, as `tier is 2, not 1`; what is not asked for does not differ."""
    want, have = json.loads(asked), json.loads(found or "{}")
    return tuple(
        "the environment differs" if part == "environment" else f"{part} is {have.get(part)!r}, not {want[part]!r}"
        for part in sorted(want)
        if want[part] is not None and want[part] != have.get(part)
    )


def labels_of(
    instance: str,
    key: bytes,
    *,
    kind: str,
    name: str,
    scope: Scope,
    workspace: WorkspaceName,
    more: Mapping[str, str],
) -> dict[str, str]:
    """Signed labels for the engine object `name` of `kind` ("container", "volume")."""
    labels = {
        INSTANCE: instance,
        PRINCIPAL: scope.principal,
        CHAT: scope.chat,
        WORKSPACE: workspace,
        KIND: kind,
        **more,
    }
    return {**labels, SIGNATURE: _signature(key, name, labels)}


def is_ours(key: bytes, name: str, labels: Mapping[str, str]) -> bool:
    """Whether the object `name` carries labels that this instance signed for it."""
    own = {label: value for label, value in labels.items() if label.startswith(PREFIX) and label != SIGNATURE}
    return hmac.compare_digest(_signature(key, name, own), labels.get(SIGNATURE, ""))


def scope_of(labels: Mapping[str, str]) -> Scope:
    """Whose the object with these (verified) labels is."""
    return Scope(principal=PrincipalId(labels[PRINCIPAL]), chat=ChatId(labels[CHAT]))


def secret_of(key: bytes, place: PlaceId) -> str:
    """The secret that opens the execd of a place; execd itself is only told its SHA-256."""
    return hmac.new(key, f"execd\0{place}".encode(), hashlib.sha256).hexdigest()


def verifier_of(secret: str) -> str:
    """What execd is told: enough to recognise the secret, useless to anybody who reads it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _digest(environment: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(environment), sort_keys=True).encode()).hexdigest()[:16]


def _signature(key: bytes, name: str, labels: Mapping[str, str]) -> str:
    message = json.dumps([name, sorted(labels.items())], separators=(",", ":")).encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()
