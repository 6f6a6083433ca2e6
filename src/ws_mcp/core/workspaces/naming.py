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

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import ChatId, PlaceId, PrincipalId, Scope, WorkspaceName

PREFIX = "dev.ws-mcp."
INSTANCE = PREFIX + "instance"
PRINCIPAL = PREFIX + "principal"
CHAT = PREFIX + "chat"
WORKSPACE = PREFIX + "workspace"
TIER = PREFIX + "tier"
SPEC = PREFIX + "spec"
IMAGE = PREFIX + "image"  # the id of the image that it was made from
BINARY = PREFIX + "execd"
KIND = PREFIX + "kind"
SIGNATURE = PREFIX + "signature"

SHARED_NETWORK = "wsmcp-net-"  # how the names of networks begin that workspaces of a chat share
ROOM = "-room"  # how the name of a room goes on after its place

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


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
    """The engine name of a workspace."""
    return PlaceId(f"wsmcp-{hashed(instance, scope.principal, scope.chat, name)}")


def hashed(*parts: str) -> str:
    """160 bits of SHA-256 over everything that tells a thing from others, as a part of a name."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return base64.b32encode(digest[:20]).decode().lower()


def volume_name(place: PlaceId) -> str:
    """The named volume with the workspace's data."""
    return f"{place}-data"


def configs_name(place: PlaceId, digest: str) -> str:
    """The named volume with what was put into /configs; other content is another volume, so that none ever changes."""
    return f"{place}-configs-{digest[:12]}"


def incoming_name(place: PlaceId) -> str:
    """What a container is called until it takes the place of the one before it."""
    return f"{place}-new"


def outgoing_name(place: PlaceId) -> str:
    """What a container is called until the one that takes its place answers."""
    return f"{place}-old"


def reader_name(place: PlaceId) -> str:
    """The container through which the files of a stopped workspace are reached."""
    return f"{place}-files"


def is_shared(network: str) -> bool:
    """Whether a recipe's network is one that workspaces of a chat share by its name."""
    return network not in ("own", "none", "host")


def is_shared_name(name: str) -> bool:
    """Whether a network of the engine is one that workspaces of a chat share."""
    return name.startswith(SHARED_NETWORK)


def room_name(place: PlaceId) -> str:
    """What holds the place of a workspace on a node of a swarm."""
    return f"{place}{ROOM}"


def place_of_room(name: str) -> PlaceId:
    """The workspace of a room of ours."""
    return PlaceId(name.removesuffix(ROOM))


def own_network_name(place: PlaceId) -> str:
    """The network of one workspace alone."""
    return f"{place}-net"


def network_name(instance: str, scope: Scope, place: PlaceId, network: str) -> str:
    """The engine's name of a recipe's network: of the workspace alone, or the chat's of that name."""
    if not is_shared(network):
        return own_network_name(place)
    return f"{SHARED_NETWORK}{hashed(instance, scope.principal, scope.chat, 'net', network)}"


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
    """Signed labels for the engine object `name` of `kind` ("container", "volume", "configs", "network", "room")."""
    labels = {
        **more,
        INSTANCE: instance,
        PRINCIPAL: scope.principal,
        CHAT: scope.chat,
        WORKSPACE: workspace,
        KIND: kind,
    }
    return {**labels, SIGNATURE: _signature(key, name, labels)}


def containers_of(instance: str, scope: Scope) -> dict[str, str]:
    """What the containers of a chat are found by."""
    return {INSTANCE: instance, PRINCIPAL: scope.principal, CHAT: scope.chat, KIND: "container"}


def is_ours(key: bytes, name: str, labels: Mapping[str, str]) -> bool:
    """Whether the object `name` carries labels that this instance signed for it."""
    return hmac.compare_digest(_signature(key, name, signed_of(labels)), labels.get(SIGNATURE, ""))


def signed_of(labels: Mapping[str, str]) -> dict[str, str]:
    """Those that a signature is about: all that look like ours."""
    return {label: value for label, value in labels.items() if label.startswith(PREFIX) and label != SIGNATURE}


def scope_of(labels: Mapping[str, str]) -> Scope:
    """Whose the object with these (verified) labels is."""
    return Scope(principal=PrincipalId(labels[PRINCIPAL]), chat=ChatId(labels[CHAT]))


def secret_of(key: bytes, place: PlaceId) -> str:
    """The secret that opens the execd of a place; execd itself is only told its SHA-256."""
    return hmac.new(key, f"execd\0{place}".encode(), hashlib.sha256).hexdigest()


def verifier_of(secret: str) -> str:
    """What execd is told: enough to recognise the secret, useless to anybody who reads it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _signature(key: bytes, name: str, labels: Mapping[str, str]) -> str:
    message = json.dumps([name, sorted(labels.items())], separators=(",", ":")).encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()
