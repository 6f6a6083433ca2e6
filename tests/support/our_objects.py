"""Engine objects with the signed labels of an instance, as the core makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from support.fake_engine import FakeEngine
from ws_mcp.core.database import Instance
from ws_mcp.core.engine.model import ContainerSpec, Image
from ws_mcp.core.ids import ChatId, ContainerId, PlaceId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.workspaces import naming

INSTANCE = Instance(id="i1", key=b"k" * 32)
OTHER_INSTANCE = Instance(id="i2", key=b"o" * 32)
SCOPE = Scope(principal=PrincipalId("local:0"), chat=ChatId("c1"))
OTHER_SCOPE = Scope(principal=PrincipalId("local:0"), chat=ChatId("c2"))
IMAGE = Image(id="sha256:" + "1" * 64, tags=("img:1",), architecture="amd64", command=("sleep", "inf"))


def engine() -> FakeEngine:
    """An engine with one image."""
    made = FakeEngine()
    made.add_image(IMAGE)
    return made


def place_of(name: str, scope: Scope = SCOPE, instance: Instance = INSTANCE) -> PlaceId:
    """The place of a workspace."""
    return naming.place_name(instance.id, scope, WorkspaceName(name))


def labels(
    kind: str, object_name: str, name: str, scope: Scope = SCOPE, instance: Instance = INSTANCE
) -> Mapping[str, str]:
    """Signed labels of an object of a workspace."""
    more = {naming.TIER: "2"} if kind == "container" else {}
    workspace = WorkspaceName(name)
    return naming.labels_of(
        instance.id, instance.key, kind=kind, name=object_name, scope=scope, workspace=workspace, more=more
    )


def container_spec(name: str, scope: Scope = SCOPE, instance: Instance = INSTANCE, network: str = "") -> ContainerSpec:
    """The request for the container of a workspace."""
    place = place_of(name, scope, instance)
    spec = ContainerSpec(name=place, image="img:1", network=network)
    return replace(spec, labels=labels("container", place, name, scope, instance))


async def make(
    fake: FakeEngine, name: str, scope: Scope = SCOPE, instance: Instance = INSTANCE, *, is_running: bool = True
) -> ContainerId:
    """The container of a workspace."""
    container = await fake.create(container_spec(name, scope, instance))
    if is_running:
        await fake.start(container)
    return container
