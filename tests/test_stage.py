"""What the demo finds to run in, and what it leaves: nothing."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from support.fake_engine import FakeEngine
from support.images import Tree

from ws_mcp import stage, stage_image
from ws_mcp.core.devcontainers.sightings import FOLDER
from ws_mcp.core.engine.model import ContainerSpec, Image, VolumeMount
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import WorkspaceKind
from ws_mcp.demo_devcontainers import ELSEWHERE, WITHOUT_AN_ENGINE, WITHOUT_DOCKER, what_is_missing
from ws_mcp.settings import Settings
from ws_mcp.stage import NoStageError, Stage
from ws_mcp.stage_projects import Projects


def engine_with(*images: tuple[str, Tree]) -> FakeEngine:
    engine = FakeEngine()
    for number, (name, tree) in enumerate(images):
        engine.add_image(Image(id=f"sha256:{number:064}", tags=(name,), architecture="amd64"), tree.tar())
    return engine


async def test_an_image_with_a_shell_is_found_without_running_anything() -> None:
    engine = engine_with(
        ("tool:1", Tree().file("tool", b"x")),
        ("system:1", Tree().directory("bin").file("bin/sh", b"x", mode=0o755)),
    )
    assert await stage._image_with_shell(engine) == "system:1"
    assert "start" not in engine.calls
    assert engine.containers == {}


async def test_an_engine_without_a_usable_image_is_told_how_to_get_one() -> None:
    engine = engine_with(("tool:1", Tree().file("tool", b"x")))
    with pytest.raises(NoStageError, match="docker pull busybox"):
        await stage._image_with_shell(engine)
    assert engine.containers == {}


async def test_a_container_that_was_about_to_fill_a_volume_goes_with_it() -> None:
    engine = engine_with(("empty:1", Tree()))
    await engine.create_volume("wsmcp-execd-1", {naming.INSTANCE: "1"})
    mount = VolumeMount(volume="wsmcp-execd-1", target="/fill/volume")
    await engine.create(ContainerSpec(name="wsmcp-execd-1-fill", image="empty:1", command=("/none",), mounts=(mount,)))
    assert await stage._clear_engine(engine, "1", ["empty:1"]) == []
    assert (engine.containers, engine.volumes, engine.images) == ({}, {}, {})


async def test_what_cannot_be_cleared_away_is_said_and_keeps_nothing_else() -> None:
    engine = engine_with(("demo:1", Tree()), ("used:1", Tree()))
    await engine.create(ContainerSpec(name="other", image="used:1", command=("x",)))
    (problem,) = await stage._clear_engine(engine, "1", ["used:1", "demo:1"])
    assert "used:1" in problem
    assert set(engine.images) == {"used:1"}


async def test_only_an_empty_image_that_was_not_there_is_taken_away_again() -> None:
    props = stage._Props(engine=None)
    await stage._note_empty_image(engine_with(), props)
    assert props.images == [stage.EMPTY_IMAGE]
    props = stage._Props(engine=None)
    await stage._note_empty_image(engine_with((stage.EMPTY_IMAGE, Tree())), props)
    assert props.images == []


@pytest.mark.parametrize(
    ("content", "is_usable"), [(b"\x7fELF static", True), (b"\x7fELF /lib64/ld-linux.so.2", False)]
)
def test_a_busybox_that_needs_libraries_makes_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, is_usable: bool
) -> None:
    program = tmp_path / "busybox"
    program.write_bytes(content)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert stage_image.static_busybox() == (program if is_usable else None)


def test_the_image_of_the_demo_has_a_shell_and_its_applets(tmp_path: Path) -> None:
    program = tmp_path / "busybox"
    program.write_bytes(b"x")
    with tarfile.open(fileobj=BytesIO(stage_image.image_tar(program))) as tar:
        assert tar.getmember("bin/busybox").mode == 0o755
        assert tar.getmember("bin/sh").linkname == "busybox"
        passwd = tar.extractfile("etc/passwd")
        assert passwd is not None
        assert passwd.read().startswith(b"root:x:0:0:"), "no dev container is made for a user that has no name"


# --- dev containers ---


def vsc(folder: Path) -> str:
    return f"vsc-{folder.name}-{hashlib.sha256(str(folder).encode()).hexdigest()}"


async def test_dev_containers_of_the_demo_go_with_what_they_were_made_from(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    engine = engine_with(("base:1", Tree()), ("old:1", Tree()), (f"{vsc(shop)}:latest", Tree()), ("other:1", Tree()))
    projects = Projects(engine, tmp_path)
    labels = {FOLDER: str(shop)}
    old = await engine.create(ContainerSpec(name="first", image="old:1", command=("x",), labels=labels))
    await projects.note_images()
    await engine.remove(old)
    await engine.create(ContainerSpec(name="second", image=f"{vsc(shop)}:latest", command=("x",), labels=labels))
    await engine.create(ContainerSpec(name="other", image="other:1", command=("x",), labels={FOLDER: "/elsewhere"}))
    assert await projects.clear() == []
    assert set(engine.images) == {"base:1", "other:1"}
    assert [each.name for each in await engine.list_containers({})] == ["other"]


async def test_the_container_of_a_build_step_that_failed_goes_and_nobody_elses(tmp_path: Path) -> None:
    engine = engine_with(("base:1", Tree()))
    projects = Projects(engine, tmp_path)
    failed = ("/bin/sh", "-c", projects.no_program)
    await engine.create(ContainerSpec(name="failed", image="base:1", command=failed))
    await engine.create(ContainerSpec(name="other", image="base:1", command=("/bin/sh", "-c", "no-such-program")))
    assert await projects.clear() == []
    assert [each.name for each in await engine.list_containers({})] == ["other"]


async def test_what_is_missing_for_a_dev_container_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    container, local = WorkspaceKind.CONTAINER, WorkspaceKind.LOCAL
    settings = Settings(state=tmp_path / "state", devcontainer_cli=str(tmp_path / "none"))
    there = Stage(settings=settings, kind=container, words="", is_here=True, port=1, directory=tmp_path)
    assert await what_is_missing(replace(there, kind=local)) == WITHOUT_AN_ENGINE
    assert await what_is_missing(replace(there, is_here=False)) == ELSEWHERE
    assert await what_is_missing(there) == WITHOUT_DOCKER
    program = tmp_path / "docker"
    program.write_text("")
    program.chmod(0o755)
    assert "run `make devcontainers`" in await what_is_missing(there)
