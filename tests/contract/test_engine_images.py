"""What every engine door promises about removing images."""

from __future__ import annotations

import pytest
from support.engine_contract import NewName, OnDocker, OnFake
from support.images import Tree

from ws_mcp.core.engine.model import ContainerSpec
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineConflictError, ImageNotFoundError


class RemovingImages:
    """The contract."""

    async def test_a_removed_image_is_gone_and_removing_it_again_is_no_error(
        self, engine: Engine, new_name: NewName
    ) -> None:
        name = f"{new_name()}:1"
        await engine.import_image(Tree().file("x", name.encode()).tar(), name)
        await engine.remove_image(name)
        with pytest.raises(ImageNotFoundError):
            await engine.image(name)
        await engine.remove_image(name)

    async def test_an_image_that_a_container_uses_stays(self, engine: Engine, new_name: NewName) -> None:
        name = f"{new_name()}:1"
        await engine.import_image(Tree().file("x", name.encode()).tar(), name)
        container = await engine.create(ContainerSpec(name=new_name(), image=name, command=("x",)))
        with pytest.raises(EngineConflictError):
            await engine.remove_image(name)
        assert name in (await engine.image(name)).tags
        await engine.remove(container)
        await engine.remove_image(name)


class TestFakeImages(OnFake, RemovingImages):
    """On the fake."""


@pytest.mark.engine
class TestDockerImages(OnDocker, RemovingImages):
    """On the real one."""
