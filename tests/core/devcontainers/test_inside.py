"""execd in dev containers on a fake engine: what is asked of the engine, and what never is."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from support.byte_pipe import said_end
from support.devcontainer_values import ROOT, SHOP, SHOP_MOUNT, labels_of, metadata_label
from support.fake_engine import FakeEngine
from support.fake_execd import FakeExecd, open_fake_execd
from support.images import Tree

from ws_mcp.core.devcontainers.allowances import Allowances
from ws_mcp.core.devcontainers.inside import ExecdInside, place_of
from ws_mcp.core.devcontainers.merged import clear
from ws_mcp.core.devcontainers.model import Record
from ws_mcp.core.engine.model import Container, ContainerSpec, EngineInfo, ExecSpec, Image, VolumeMount
from ws_mcp.core.errors import EngineError, EngineUnavailableError, ForbiddenError, PlaceUnavailableError
from ws_mcp.core.execd.delivery import volume_prefix
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import ContainerId
from ws_mcp.core.state import State, open_state
from ws_mcp.core.workspaces.naming import secret_of

pytestmark = pytest.mark.usefixtures("real_io")

ALLOWED = Allowances(roots=(ROOT,))
MARK = "m4rk"


class Ground:
    """A fake engine whose commands do what those of a real one do, as far as execd needs them."""

    def __init__(self, engine: FakeEngine, state: State, execd: FakeExecd, container: ContainerId) -> None:
        self.engine = engine
        self.state = state
        self.execd = execd
        self.container = container
        self.is_serving = False
        self.missing: set[str] = set()  # directories
        self.shell = b"A=shell\0"
        self.asked: list[ExecSpec] = []
        engine.on_exec = self._run

    @property
    def served(self) -> list[ExecSpec]:
        return [spec for spec in self.asked if spec.argv[1:2] == ("serve",)]

    async def arrive(self, record: Record | None = None) -> PlaceAddress:
        found = await self.engine.inspect(self.container)
        made = record or Record(container=self.container, key=SHOP, parts={}, user="dev", path="/work")
        inside = ExecdInside(self.engine, self.state, "test", {}, lambda: MARK)
        return await inside.arrive(clear(found, made, ALLOWED), made)

    def _run(self, container: Container, spec: ExecSpec) -> ByteStream:
        self.asked.append(spec)
        program, *rest = spec.argv
        if "-lic" in spec.argv:
            return said_end(b"welcome" + MARK.encode() + self.shell + MARK.encode())
        is_there = any(isinstance(m, VolumeMount) and m.target == "/.ws-mcp" for m in container.mounts) or (
            program[1:] in self.engine.containers[self.container].files.entries
        )
        if not is_there or spec.cwd in self.missing:
            return said_end(b"OCI runtime exec failed")
        if rest[0] == "serve":
            verifier = hashlib.sha256(self.execd.secret.encode()).hexdigest()
            self.is_serving = self.is_serving or spec.environment["WSMCP_VERIFIER"] == verifier
            return said_end(b"")
        return self.execd.connect() if self.is_serving else said_end(b"")


@asynccontextmanager
async def ground(directory: Path, engine: FakeEngine | None = None, **more: object) -> AsyncGenerator[Ground]:
    async with open_state(directory / "s") as state:
        engine = engine or FakeEngine()
        engine.add_image(Image(id="sha256:" + "b" * 64, tags=("image:1",), architecture="amd64", os="linux"))
        spec = ContainerSpec(
            name="shop-1", image="image:1", command=("sleep", "9"), labels=labels_of(), mounts=(SHOP_MOUNT,)
        )
        if more.pop("has_volume", False):
            mount = VolumeMount(volume=volume_prefix(state.instance.id) + "x", target="/.ws-mcp", is_read_only=True)
            spec = replace(spec, mounts=(SHOP_MOUNT, mount))
        container = await engine.create(replace(spec, **more))
        await engine.start(container)
        place = place_of(state.instance.id, container)
        with anyio.fail_after(20):
            async with open_fake_execd(place, secret_of(state.instance.key, place)) as execd:
                yield Ground(engine, state, execd, container)


async def test_execd_is_started_as_the_user_in_its_folder_with_its_environment(tmp_path: Path) -> None:
    async with ground(tmp_path, has_volume=True) as site:
        address = await site.arrive()
        (spec,) = site.served
        assert (spec.user, spec.cwd, address.user, address.binary) == ("dev", "/work", "dev", "/.ws-mcp/execd")
        assert spec.environment["A"] == "shell"
        assert "put_archive" not in site.engine.calls


async def test_no_secret_is_handed_to_the_engine(tmp_path: Path) -> None:
    async with ground(tmp_path) as site:
        await site.arrive()
        for spec in site.asked:
            assert site.execd.secret not in repr(spec)


async def test_a_shell_that_says_nothing_useful_is_no_hindrance(tmp_path: Path) -> None:
    async with ground(tmp_path, has_volume=True) as site:
        site.shell = b""
        await site.arrive()
        assert set(site.served[0].environment) == {"WSMCP_VERIFIER"}


async def test_a_shell_that_never_ends_its_answer_is_cut_off(tmp_path: Path) -> None:
    async with ground(tmp_path, has_volume=True) as site:
        site.shell = b"A=" + b"x" * (1 << 20)
        await site.arrive()
        assert set(site.served[0].environment) == {"WSMCP_VERIFIER"}


async def test_a_container_of_others_gets_a_copy_once(tmp_path: Path) -> None:
    async with ground(tmp_path) as site:
        first = await site.arrive()
        assert first.binary.startswith("/.ws-mcp/execd-")
        assert await site.arrive() == first
        assert site.engine.calls.count("put_archive") == 1
        assert len(site.served) == 1


async def test_a_folder_that_is_missing_does_not_keep_execd_away(tmp_path: Path) -> None:
    async with ground(tmp_path, has_volume=True) as site:
        site.missing.add("/work")
        await site.arrive()
        assert [spec.cwd for spec in site.served] == ["/work", ""]


async def test_an_execd_that_does_not_come_up_is_said(tmp_path: Path) -> None:
    async with ground(tmp_path, has_volume=True) as site:
        site.missing |= {"/work", ""}
        with pytest.raises(PlaceUnavailableError, match=r"user 'dev' has to exist.*/dev/shm"):
            await site.arrive()


async def test_an_image_for_another_system_is_said(tmp_path: Path) -> None:
    async with ground(tmp_path) as site:
        image = site.engine.images["image:1"]
        image.image = replace(image.image, os="windows")
        with pytest.raises(PlaceUnavailableError, match="windows"):
            await site.arrive()


async def test_an_image_that_was_removed_since_is_no_hindrance(tmp_path: Path) -> None:
    async with ground(tmp_path) as site:
        site.engine.images.clear()
        await site.arrive()


async def test_a_container_that_cannot_be_written_is_said_before_anything_is_copied(tmp_path: Path) -> None:
    async with ground(tmp_path, is_read_only=True) as site:
        with pytest.raises(PlaceUnavailableError, match="read-only"):
            await site.arrive()
        assert "put_archive" not in site.engine.calls


async def test_a_container_that_does_not_run_is_said(tmp_path: Path) -> None:
    async with ground(tmp_path) as site:
        await site.engine.pause(site.container)
        with pytest.raises(PlaceUnavailableError, match="paused"):
            await site.arrive()
        await site.engine.stop(site.container, 0)
        with pytest.raises(PlaceUnavailableError, match="does not run"):
            await site.arrive()
        assert site.asked == []


async def test_a_shell_is_not_asked_where_the_definition_says_so(tmp_path: Path) -> None:
    labels = {**labels_of(), **metadata_label({"userEnvProbe": "none", "remoteEnv": {"B": "remote"}})}
    async with ground(tmp_path, has_volume=True, labels=labels) as site:
        await site.arrive()
        assert site.served[0].environment["B"] == "remote"
        assert not any("-lic" in spec.argv for spec in site.asked)


async def test_the_shell_is_the_one_that_the_containers_passwd_names(tmp_path: Path) -> None:
    async with ground(tmp_path, has_volume=True) as site:
        passwd = Tree().directory("etc").file("etc/passwd", b"dev:x:1000:1000::/home/dev:/bin/zsh\n").tar()
        await site.engine.put_archive(site.container, "/", passwd)
        await site.arrive()
        assert [spec.argv[0] for spec in site.asked if "-lic" in spec.argv] == ["/bin/zsh"]


async def test_an_engine_of_an_architecture_without_execd_is_said(tmp_path: Path) -> None:
    class Odd(FakeEngine):
        async def info(self) -> EngineInfo:
            return replace(await super().info(), architecture="s390x")

    async with ground(tmp_path, Odd()) as site:
        with pytest.raises(PlaceUnavailableError, match="s390x"):
            await site.arrive()


async def test_an_execd_of_another_secret_is_left_alone(tmp_path: Path) -> None:
    async with ground(tmp_path, has_volume=True) as site:
        site.is_serving, site.execd.secret = True, "ff"
        with pytest.raises(PlaceUnavailableError, match="another instance"):
            await site.arrive()
        assert site.served == []


async def test_servers_that_copy_at_once_copy_once(tmp_path: Path) -> None:
    async with ground(tmp_path) as site:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(site.arrive)
        assert site.engine.calls.count("put_archive") == 1


@pytest.mark.parametrize("call", ["open_exec", "put_archive"])
async def test_an_engine_that_fails_is_said(tmp_path: Path, call: str) -> None:
    async with ground(tmp_path) as site:
        for _ in range(3):
            site.engine.fail_next(call, EngineUnavailableError("the engine does not answer"))
        if call == "open_exec":
            site.engine.fail_next("put_archive", EngineError("no"))
        with pytest.raises(PlaceUnavailableError):
            await site.arrive()


async def test_in_a_container_that_merely_carries_the_labels_nothing_is_run(tmp_path: Path) -> None:
    async with ground(tmp_path, mounts=()) as site:
        with pytest.raises(ForbiddenError):
            await site.arrive(Record(container=site.container, key=SHOP, parts={}, is_adopted=True))
        assert site.asked == []
        assert "put_archive" not in site.engine.calls


def test_every_container_is_a_place_of_its_own_for_every_instance() -> None:
    places = {place_of(instance, ContainerId(c * 64)) for instance in ("a", "b") for c in "01"}
    assert len(places) == 4
