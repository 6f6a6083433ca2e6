"""T35: only images that the operator lists, by pattern and digest: a tag that moved is another image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.denials import open_server
from support.edge_client import MODES
from support.fake_engine import FakeEngine
from support.images import scratch_tar
from support.policies import ALICE, DIGEST, OTHER_DIGEST, everything, in_force
from support.workspace_ground import NEW, OLD, SPEC, an_engine, left_over, open_service

from ws_mcp.core.engine.model import ContainerSpec, Image
from ws_mcp.core.errors import ConflictError, ForbiddenError
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.workspaces.model import Ask, Replace
from ws_mcp.core.workspaces.rules import WorkspaceRules

PINNED = f"img:1@{DIGEST}"


def rules(*images: str) -> WorkspaceRules:
    return in_force(everything(images=images)).rules_of(ALICE)


def engine(digest: str, image_id: str = OLD) -> FakeEngine:
    made = an_engine()
    put(made, digest, image_id)
    return made


def put(fake: FakeEngine, digest: str, image_id: str) -> None:
    """Let the tag mean this image from now on."""
    image = Image(id=image_id, tags=("img:1",), architecture="amd64", digests=(f"img@{digest}",), command=("sleep",))
    fake.add_image(image)


async def test_an_image_with_the_listed_digest_is_used(tmp_path: Path) -> None:
    async with open_service(engine(DIGEST), tmp_path, rules(PINNED)) as service:
        assert (await service.provision()).change == "created"


async def test_a_tag_that_was_moved_to_another_digest_is_refused(tmp_path: Path) -> None:
    fake = engine(DIGEST)
    async with open_service(fake, tmp_path, rules(PINNED)) as service:
        made = await service.made()
        put(fake, OTHER_DIGEST, NEW)
        creates = fake.calls.count("create")
        for ask in (Ask(), Ask(replace=Replace.ALWAYS)):
            with pytest.raises(ForbiddenError, match="another digest"):
                await service.provision(ask=ask)
        assert fake.calls.count("create") == creates
        assert (await fake.inspect(made.place)).image_id == OLD
        await service.workspaces.stop(made)
        starts = fake.calls.count("start")
        with pytest.raises(ForbiddenError, match="another digest"):
            await service.provision()
        assert fake.calls.count("start") == starts


@pytest.mark.parametrize("name", ["alpine", "evil.example/img:1", "evil/img:1", f"img@{OTHER_DIGEST}", "1" * 12])
async def test_an_image_that_is_not_listed_is_refused_before_any_pull(tmp_path: Path, name: str) -> None:
    fake = engine(DIGEST)
    async with open_service(fake, tmp_path, rules(PINNED)) as service:
        with pytest.raises(ForbiddenError, match="not one that the operator's policy lets you use"):
            await service.provision(replace(SPEC, image=name))
        assert fake.calls == []
        assert (await service.provision()).change == "created"


@pytest.mark.parametrize("mode", MODES)
async def test_the_gate_refuses_it_and_writes_it_down(mode: str) -> None:
    async with open_server(in_force(everything(images=("debian:*",))), mode) as server:
        await server.denied("provision_workspace", "grant 'alice': images", image="evil.example/debian:13")
        await server.allowed("provision_workspace", image="debian:13")


async def test_a_default_image_has_to_be_listed_too(tmp_path: Path) -> None:
    fake = engine(DIGEST)
    base = WorkspaceRules(default_image="img:1")
    narrow = in_force(everything(images=("alpine",)), base=base).rules_of(ALICE)
    async with open_service(fake, tmp_path, narrow) as service:
        with pytest.raises(ForbiddenError, match="'img:1' is not one"):
            await service.provision(replace(SPEC, image=""))
        assert "create" not in fake.calls


async def test_what_a_pull_brings_is_looked_at_before_it_runs(tmp_path: Path) -> None:
    fake = an_engine()
    fake.registry.publish("ws:1", scratch_tar())
    name = f"{fake.registry.host}/ws:1"
    async with open_service(fake, tmp_path, rules(f"{name}@{DIGEST}")) as service:
        with pytest.raises(ForbiddenError, match="another digest"):
            await service.provision(replace(SPEC, image=name))
        assert "create" not in fake.calls
        assert await left_over(fake) == []


async def test_without_the_word_for_it_nothing_is_pulled(tmp_path: Path) -> None:
    fake = an_engine()
    fake.registry.publish("ws:1", scratch_tar())
    name = f"{fake.registry.host}/ws:1"
    no_pull = in_force(everything(images=(name,), may_pull=False)).rules_of(ALICE)
    async with open_service(fake, tmp_path, no_pull) as service:
        with pytest.raises(Exception, match="is not on the engine"):
            await service.provision(replace(SPEC, image=name))
        assert "pull" not in fake.calls


class Racing(FakeEngine):
    """The tag is moved between the look at the image and the making of the container."""

    async def create(self, spec: ContainerSpec) -> ContainerId:
        put(self, OTHER_DIGEST, NEW)
        return await super().create(spec)


async def test_a_tag_that_moves_while_the_container_is_made_is_seen_before_it_starts(
    real_io: None, tmp_path: Path
) -> None:
    fake = Racing()
    put(fake, DIGEST, OLD)
    async with open_service(fake, tmp_path, rules(PINNED)) as service:
        with pytest.raises(ConflictError, match="came to mean another one"):
            await service.provision()
        assert "start" not in fake.calls
        assert await left_over(fake) == []


async def test_images_that_are_not_granted_are_not_named(tmp_path: Path) -> None:
    fake = engine(DIGEST)
    fake.add_image(Image(id=NEW, tags=("secret-project:1",), architecture="amd64"))
    async with open_service(fake, tmp_path, rules("img:*")) as service:
        with pytest.raises(Exception, match=r"the engine has img:1$"):
            await service.provision(replace(SPEC, image=""))
