"""The contract of the engine door: images come from registries."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest
from support.engine_contract import WAIT_S, Ground, NewName, OnDocker, OnFake, OnPodman
from support.images import Tree
from support.real_engine import LabelledEngine
from support.registry import PASSWORD, USER, RealRegistry, Registry

from ws_mcp.core.engine.deadlines import Deadlines
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.model import ContainerSpec
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError, EngineTimeoutError, ImageNotFoundError, InvalidArgumentError

BOTH = ("linux/amd64", "linux/arm64")


class Steps:
    """What a pull reports."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.fractions: list[float] = []

    async def report(self, phase: str, fraction: float) -> None:
        self.phases.append(phase)
        self.fractions.append(fraction)


async def unheard(_phase: str, _fraction: float) -> None:
    await anyio.lowlevel.checkpoint()


def tar(content: str) -> bytes:
    return Tree().file("x", content.encode()).tar()


class PullContract(Ground):
    """An image that is not here comes from its registry, or it is said why it does not."""

    @pytest.fixture
    async def pulls(self, engine: Engine) -> AsyncGenerator[list[str]]:
        """Names and ids of images that go when the test is over."""
        images: list[str] = []
        yield images
        for image in images:
            await engine.remove_image(image)

    async def own(self, engine: Engine) -> str:
        return f"linux/{(await engine.info()).architecture}"

    async def test_an_image_comes_from_its_registry(
        self, engine: Engine, new_name: NewName, registry: Registry, pulls: list[str]
    ) -> None:
        name, platform = new_name(), await self.own(engine)
        digest = registry.publish(f"{name}:1", tar(name), (platform,))
        image = f"{registry.host}/{name}:1"
        pulls.append(image)
        with pytest.raises(ImageNotFoundError):
            await engine.image(image)
        steps = Steps()
        await engine.pull(image, "", steps.report)
        found = await engine.image(image)
        assert image in found.tags
        assert f"{registry.host}/{name}@{digest}" in found.digests
        assert f"{found.os}/{found.architecture}" == platform
        assert any(image in listed.tags for listed in await engine.list_images())
        assert steps.fractions == sorted(steps.fractions)
        assert (steps.fractions[0], steps.fractions[-1]) == (0, 1)
        assert all(steps.phases)
        container = await engine.create(ContainerSpec(name=new_name(), image=image, command=("x",)))
        assert (await engine.inspect(container)).image == image
        await engine.remove(container)

    async def test_an_image_that_is_here_is_no_error(
        self, engine: Engine, new_name: NewName, registry: Registry, pulls: list[str]
    ) -> None:
        name = new_name()
        registry.publish(f"{name}:latest", tar(name), (await self.own(engine),))
        pulls.append(f"{registry.host}/{name}:latest")
        for _ in range(2):
            steps = Steps()
            await engine.pull(f"{registry.host}/{name}", "", steps.report)
            assert steps.fractions[-1] == 1
        assert (await engine.image(f"{registry.host}/{name}")).tags == (pulls[0],)

    async def test_a_tag_that_moved_is_followed_and_the_former_image_stays(
        self, engine: Engine, new_name: NewName, registry: Registry, pulls: list[str]
    ) -> None:
        name, platform = new_name(), await self.own(engine)
        image = f"{registry.host}/{name}:1"
        registry.publish(f"{name}:1", tar(f"{name} first"), (platform,))
        await engine.pull(image, "", unheard)
        former = await engine.image(image)
        digest = registry.publish(f"{name}:1", tar(f"{name} second"), (platform,))
        assert (await engine.image(image)).id == former.id
        await engine.pull(image, "", unheard)
        found = await engine.image(image)
        pulls += [image, former.id]
        assert found.id != former.id
        assert f"{registry.host}/{name}@{digest}" in found.digests
        assert (await engine.image(former.id)).tags == ()

    async def test_an_image_may_be_named_by_its_digest(
        self, engine: Engine, new_name: NewName, registry: Registry, pulls: list[str]
    ) -> None:
        name, platform = new_name(), await self.own(engine)
        digest = registry.publish(f"{name}:1", tar(f"{name} first"), (platform,))
        registry.publish(f"{name}:1", tar(f"{name} second"), (platform,))
        image = f"{registry.host}/{name}@{digest}"
        await engine.pull(image, "", unheard)
        found = await engine.image(image)
        pulls.append(found.id)
        assert found.digests == (image,)

    async def test_an_image_comes_for_the_platform_asked_for(
        self, engine: Engine, new_name: NewName, registry: Registry, pulls: list[str]
    ) -> None:
        name = new_name()
        registry.publish(f"{name}:1", tar(name), BOTH)
        image = f"{registry.host}/{name}:1"
        for platform in BOTH:
            await engine.pull(image, platform, unheard)
            found = await engine.image(image)
            pulls.append(found.id)
            assert f"{found.os}/{found.architecture}" == platform

    async def test_an_image_for_other_platforms_only_is_missing(
        self, engine: Engine, new_name: NewName, registry: Registry, pulls: list[str]
    ) -> None:
        name, platform = new_name(), await self.own(engine)
        registry.publish(f"{name}:both", tar(name), BOTH)
        with pytest.raises(ImageNotFoundError, match=f"{name}:both.*registry"):
            await engine.pull(f"{registry.host}/{name}:both", "linux/s390x", unheard)
        (other,) = set(BOTH) - {platform}
        registry.publish(f"{name}:one", tar(name), (other,))
        with pytest.raises(ImageNotFoundError, match=f"{name}:one.*{platform}"):
            await engine.pull(f"{registry.host}/{name}:one", platform, unheard)
        pulls.append(f"{registry.host}/{name}:one")

    async def test_an_image_that_the_registry_does_not_have_is_named(
        self, engine: Engine, new_name: NewName, registry: Registry
    ) -> None:
        image = f"{registry.host}/{new_name()}:1"
        with pytest.raises(ImageNotFoundError, match=rf"{image}.*the registry has none"):
            await engine.pull(image, "", unheard)

    async def test_a_cancelled_pull_ends_at_the_registry_too(
        self, engine: Engine, new_name: NewName, registry: Registry, pulls: list[str]
    ) -> None:
        name = new_name()
        registry.publish(f"{name}:1", tar(name), (await self.own(engine),))
        image = f"{registry.host}/{name}:1"
        with anyio.fail_after(WAIT_S), registry.hold() as held:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(engine.pull, image, "", unheard)
                await held.asked()
                tasks.cancel_scope.cancel()
            await held.left()
        with pytest.raises(ImageNotFoundError):
            await engine.image(image)
        await engine.pull(image, "", unheard)
        pulls.append(image)
        assert image in (await engine.image(image)).tags

    @pytest.mark.parametrize(
        ("image", "platform"), [("--all", ""), ("a:b:c", ""), ("a", "x"), ("a", "linux/amd64&x=y")]
    )
    async def test_what_is_no_image_or_platform_is_refused(self, engine: Engine, image: str, platform: str) -> None:
        with pytest.raises(InvalidArgumentError):
            await engine.pull(image, platform, unheard)


class LoginContract(Ground):
    """Registries that want to know who asks, and those that do not end."""

    @pytest.fixture
    async def with_login(
        self, engine: LabelledEngine, registry: Registry, tmp_path: Path
    ) -> AsyncGenerator[DockerEngine]:
        """The same engine, its user logged in at the registry."""
        secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": secret}}}))
        address = str((await engine._target()).endpoint)
        other = DockerEngine(address, {**os.environ, "DOCKER_CONFIG": str(tmp_path)}, Deadlines(pull_s=1.0))
        yield other
        await other.aclose()

    async def test_whoever_is_logged_in_gets_what_others_do_not(
        self, engine: Engine, with_login: DockerEngine, new_name: NewName, registry: RealRegistry
    ) -> None:
        name = new_name()
        registry.wants_login = True
        registry.publish(f"{name}:1", tar(name), (f"linux/{(await engine.info()).architecture}",))
        image = f"{registry.host}/{name}:1"
        with pytest.raises(ImageNotFoundError, match="docker login"):
            await engine.pull(image, "", unheard)
        await with_login.pull(image, "", unheard)
        assert image in (await engine.image(image)).tags
        await engine.remove_image(image)

    async def test_a_pull_is_given_up_in_the_end(
        self, with_login: DockerEngine, new_name: NewName, registry: Registry
    ) -> None:
        name = new_name()
        registry.publish(f"{name}:1", tar(name))
        with anyio.fail_after(WAIT_S), registry.hold() as held:
            with pytest.raises(EngineTimeoutError, match=f"{name}:1.* within 1 s"):
                await with_login.pull(f"{registry.host}/{name}:1", "", unheard)
            await held.left()


class TestFakePull(OnFake, PullContract):
    """The contract on the fake."""


@pytest.mark.usefixtures("real_io_both")
class TestDockerPull(OnDocker, PullContract, LoginContract):
    """The contract on a real engine, with both event loops."""

    async def test_a_registry_that_does_not_answer_is_no_missing_image(self, engine: Engine, new_name: NewName) -> None:
        with pytest.raises(EngineError, match="connection refused") as raised:
            await engine.pull(f"127.0.0.1:1/{new_name()}:1", "", unheard)
        assert not isinstance(raised.value, ImageNotFoundError)


class TestPodmanPull(OnPodman, PullContract, LoginContract):
    """The contract on a real Podman."""
