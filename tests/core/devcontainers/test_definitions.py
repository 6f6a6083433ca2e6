"""The definitions on this machine, through the door that the reconciler uses."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PosixPath
from threading import Event

import anyio
import anyio.lowlevel
import pytest
from support.definition_ground import CONFIG, built
from support.host_ground import allowing

from ws_mcp.core.devcontainers.definitions import HostDefinitions
from ws_mcp.core.devcontainers.model import Key, Kind
from ws_mcp.core.devcontainers.port import (
    DefinitionMissingError,
    Definitions,
    SilentDefinitionError,
    UnreadableDefinitionError,
)
from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError
from ws_mcp.core.host.model import HostRules


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now = 0.0
        self.step_s = step_s  # from one look at it to the next

    def __call__(self) -> float:
        self.now += self.step_s
        return self.now


def definitions(*roots: Path, clock: Callable[[], float] = Clock(), answer_s: float = 60) -> HostDefinitions:  # noqa: B008 - it stands still
    return HostDefinitions(allowing(*roots), "/nonexistent", clock, answer_s)


class Mount(PosixPath):
    """A directory on a disk that does not answer while it is away."""

    is_there: Event

    def __fspath__(self) -> str:
        self.is_there.wait()
        return str(self)


def mount_at(path: Path) -> Mount:
    mount = Mount(path)
    mount.is_there = Event()
    mount.is_there.set()
    return mount


async def stamp_of(host: Definitions, key: Key) -> str:
    (stamp,) = await host.stamps([key])
    return stamp


async def test_a_definition_is_read_with_present_names(tmp_path: Path, real_io_both: None) -> None:
    project = built(tmp_path)
    project.write(CONFIG, '{"dockerFile": "Dockerfile", "context": "..", "settings": {"a": 1}}')
    host: Definitions = definitions(tmp_path)
    found = await host.read(project.key)
    assert found.kind is Kind.DOCKERFILE
    assert found.properties == {
        "build": {"dockerfile": "Dockerfile", "context": ".."},
        "customizations": {"vscode": {"settings": {"a": 1}}},
    }


async def test_beside_an_old_name_only_an_old_context_counts(tmp_path: Path, real_io: None) -> None:
    project = built(tmp_path)
    project.write(CONFIG, '{"dockerFile": "Dockerfile", "build": {"context": "elsewhere", "target": "dev"}}')
    found = await definitions(tmp_path).read(project.key)
    assert found.properties == {"build": {"dockerfile": "Dockerfile", "target": "dev"}}


async def test_a_fingerprint_changes_with_what_it_is_of(tmp_path: Path, real_io: None) -> None:
    project = built(tmp_path)
    host = definitions(tmp_path)
    before = await host.fingerprint(project.key)
    assert await host.fingerprint(project.key) == before
    project.write("requirements.txt", "other")
    after = await host.fingerprint(project.key)
    assert {part for part in before.parts if before.parts[part] != after.parts[part]} == {"ctx/requirements.txt"}
    assert after.newest == "requirements.txt"


async def test_many_may_ask_at_once(tmp_path: Path, real_io_both: None) -> None:
    project = built(tmp_path)
    host = definitions(tmp_path)
    found: list[int] = []

    async def ask() -> None:
        found.append(len((await host.fingerprint(project.key)).parts))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
    assert len(set(found)) == 1
    assert len(found) == 20


def replaced(project_file: Path) -> None:
    """As editors save: a new file under the old name, of the same size and time."""
    status = project_file.stat()
    other = project_file.with_name("new")
    other.write_bytes(project_file.read_bytes())
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(project_file)


EDITS: list[tuple[str, Callable[[Path], object]]] = [
    (CONFIG, lambda file: file.write_text("{}")),
    (CONFIG, lambda file: file.unlink()),
    (CONFIG, replaced),
    (".devcontainer/Dockerfile", lambda file: file.write_text("FROM y")),
    ("requirements.txt", replaced),
    ("src/new.py", lambda file: file.write_text("")),
    (".dockerignore", lambda file: file.write_text("src")),
    (".devcontainer/tool/install.sh", lambda file: file.chmod(0o755)),
    (".devcontainer", lambda file: file.rename(file.with_name("away"))),
]


@pytest.mark.parametrize(("path", "edit"), EDITS, ids=range(len(EDITS)))
async def test_a_stamp_is_another_one_after_each_edit_of_an_input(
    tmp_path: Path, real_io: None, path: str, edit: Callable[[Path], object]
) -> None:
    project = built(tmp_path)
    host = definitions(tmp_path)
    await host.fingerprint(project.key)
    before = await stamp_of(host, project.key)
    assert await stamp_of(host, project.key) == before
    edit(tmp_path / path)
    assert await stamp_of(host, project.key) != before


async def test_what_is_no_input_leaves_the_stamp_as_it_is(tmp_path: Path, real_io: None) -> None:
    project = built(tmp_path)
    host = definitions(tmp_path)
    await host.fingerprint(project.key)
    before = await stamp_of(host, project.key)
    project.write("README.md", "other")
    assert await stamp_of(host, project.key) == before


async def test_a_stamp_works_before_the_first_look_and_after_one_that_failed(tmp_path: Path, real_io: None) -> None:
    project = built(tmp_path)
    host = definitions(tmp_path)
    missing = Key(folder=str(tmp_path / "none"), config=str(tmp_path / "none" / CONFIG))
    assert await stamp_of(host, missing) == await stamp_of(host, missing)
    before = await stamp_of(host, project.key)
    project.write(CONFIG, "{")
    half = await stamp_of(host, project.key)
    assert half != before
    with pytest.raises(UnreadableDefinitionError):
        await host.fingerprint(project.key)
    half = await stamp_of(host, project.key)
    project.write(CONFIG, '{"image": "x"}')
    assert await stamp_of(host, project.key) != half


async def test_a_directory_that_comes_back_is_noticed(tmp_path: Path, real_io: None) -> None:
    project = built(tmp_path)
    host = definitions(tmp_path)
    before = await host.fingerprint(project.key)
    (tmp_path / ".devcontainer").rename(tmp_path / "away")
    with pytest.raises(DefinitionMissingError):
        await host.fingerprint(project.key)
    gone = await stamp_of(host, project.key)
    (tmp_path / "away").rename(tmp_path / ".devcontainer")
    assert await stamp_of(host, project.key) != gone
    assert (await host.fingerprint(project.key)).parts == before.parts


async def test_the_only_definition_of_a_folder_need_not_be_named(tmp_path: Path, real_io: None) -> None:
    project = built(tmp_path)
    host = definitions(tmp_path)
    assert await host.find(str(tmp_path), "") == project.key
    assert await host.find(f"{tmp_path}/", CONFIG) == project.key
    assert await host.find(str(tmp_path), project.key.config) == project.key


async def test_of_several_definitions_one_has_to_be_named(tmp_path: Path, real_io: None) -> None:
    project = built(tmp_path)
    project.write(".devcontainer.json", "{}")
    project.write(".devcontainer/gpu/devcontainer.json", "{}")
    host = definitions(tmp_path)
    with pytest.raises(InvalidArgumentError, match="has 3 dev container definitions") as caught:
        await host.find(str(tmp_path), "")
    for name in (CONFIG, ".devcontainer.json", ".devcontainer/gpu/devcontainer.json"):
        assert repr(name) in str(caught.value)
        assert (await host.find(str(tmp_path), name)).config == str(tmp_path / name)


async def test_a_root_that_is_a_link_is_followed_and_keys_are_without_it(tmp_path: Path, real_io: None) -> None:
    project = built(tmp_path / "real")
    (tmp_path / "link").symlink_to(project.folder)
    host = definitions(tmp_path / "link")
    assert await host.find(str(tmp_path / "link"), "") == project.key
    assert await host.find(str(tmp_path / "link"), str(tmp_path / "link" / CONFIG)) == project.key
    assert await host.discover() == (project.key,)
    await host.fingerprint(project.key)


async def test_what_is_not_there_is_missing(tmp_path: Path, real_io: None) -> None:
    host = definitions(tmp_path)
    (tmp_path / "empty").mkdir()
    for folder, config in (("none", ""), ("empty", ""), ("empty", ".devcontainer.json")):
        with pytest.raises(DefinitionMissingError, match="does not exist"):
            await host.find(str(tmp_path / folder), config)


async def test_folders_outside_of_the_roots_are_refused(tmp_path: Path, real_io: None) -> None:
    project = built(tmp_path / "project")
    (tmp_path / "root").mkdir()
    with pytest.raises(ForbiddenError, match="--root"):
        await definitions(tmp_path / "root").find(str(project.folder), "")
    with pytest.raises(ForbiddenError, match="--root"):
        await definitions().find(str(project.folder), "")
    with pytest.raises(DefinitionMissingError):
        await definitions(tmp_path / "root").read(project.key)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("../other/.devcontainer.json", "has '.', '..' or '//' in it"),
        ("/etc/devcontainer.json", "is not in the folder"),
        ("README.md", "has to be a file with the name"),
    ],
)
async def test_a_config_has_to_be_in_its_folder(tmp_path: Path, real_io: None, config: str, why: str) -> None:
    project = built(tmp_path)
    with pytest.raises(InvalidArgumentError, match=why):
        await definitions(tmp_path).find(str(project.folder), config)


async def test_links_on_the_way_are_refused(tmp_path: Path, real_io: None) -> None:
    project = built(tmp_path / "project")
    (tmp_path / "link").symlink_to(project.folder)
    host = definitions(tmp_path)
    with pytest.raises(InvalidArgumentError, match="is a link"):
        await host.find(str(tmp_path / "link"), "")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".devcontainer").symlink_to(project.folder / ".devcontainer")
    with pytest.raises(InvalidArgumentError, match="is a link"):
        await host.find(str(tmp_path / "other"), "")


@pytest.mark.parametrize("path", ["", ".devcontainer", CONFIG])
async def test_what_others_may_write_to_is_refused(tmp_path: Path, real_io: None, path: str) -> None:
    project = built(tmp_path / "project")
    target = project.folder / path
    target.chmod(target.stat().st_mode | 0o002)
    with pytest.raises(ForbiddenError, match="can be written by others"):
        await definitions(tmp_path).find(str(project.folder), "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("path", ["", ".devcontainer", CONFIG])
async def test_what_belongs_to_somebody_else_is_refused(tmp_path: Path, real_io: None, path: str) -> None:
    project = built(tmp_path / "project")
    os.chown(project.folder / path, 12345, -1)
    with pytest.raises(ForbiddenError, match="belongs to another user"):
        await definitions(tmp_path).find(str(project.folder), "")


async def test_definitions_are_looked_for_again_after_a_while(tmp_path: Path, real_io: None) -> None:
    project = built(tmp_path / "a")
    (tmp_path / "a" / "inner").mkdir()
    clock = Clock()
    host = definitions(tmp_path, tmp_path / "a", clock=clock)
    assert await host.discover() == (project.key,)
    other = built(tmp_path / "b")
    clock.now += 1.9
    assert await host.discover() == (project.key,)
    clock.now += 0.1
    assert await host.discover() == (project.key, other.key)


async def test_a_large_tree_is_searched_more_seldom(tmp_path: Path, real_io: None) -> None:
    clock = Clock(step_s=0.1)
    host = definitions(tmp_path, clock=clock)
    assert await host.discover() == (), "and that took 0.1 s"
    clock.step_s = 0.0
    project = built(tmp_path / "a")
    clock.now += 9.9
    assert await host.discover() == ()
    clock.now += 0.1
    assert await host.discover() == (project.key,)


async def test_what_was_named_is_known_at_once_until_it_is_gone(tmp_path: Path, real_io: None) -> None:
    clock = Clock()
    host = definitions(tmp_path, clock=clock)
    assert await host.discover() == ()
    project = built(tmp_path / "a")
    assert await host.find(str(project.folder), "") == project.key
    assert await host.discover() == (project.key,)
    (project.folder / CONFIG).unlink()
    clock.now += 2
    assert await host.discover() == ()


async def test_a_disk_that_does_not_answer_holds_up_nobody_else(tmp_path: Path, real_io_both: None) -> None:
    lost, near = built(tmp_path / "mount" / "lost"), built(tmp_path / "near")
    mount = mount_at(tmp_path / "mount")
    clock = Clock()
    host = definitions(mount, near.folder, clock=clock, answer_s=0.5)
    assert await host.discover() == (lost.key, near.key)
    stamps = await host.stamps([lost.key, near.key])
    mount.is_there.clear()
    try:
        clock.now += 60
        other = built(near.folder / "other")
        with anyio.fail_after(20):
            assert await host.discover() == (lost.key, near.key, other.key), "lost as it was seen last"
            for ask in (host.read, host.fingerprint):
                with pytest.raises(SilentDefinitionError, match=f"the disk of '{mount}' has not answered for "):
                    await ask(lost.key)
                await ask(near.key)
            with pytest.raises(SilentDefinitionError):
                await host.find(str(lost.folder), "")
            assert await host.find(str(near.folder), "") == near.key
            silent, same = await host.stamps([lost.key, near.key])
            assert (silent != stamps[0], same) == (True, await stamp_of(host, near.key))
            assert list(host.silent()) == [str(mount)]
    finally:
        mount.is_there.set()
    with anyio.fail_after(20):
        while host.silent():
            await anyio.lowlevel.checkpoint()
    assert (await host.read(lost.key)).key == lost.key
    assert await host.stamps([lost.key]) != (silent,)


async def test_a_disk_that_never_answered_is_found_when_it_does(tmp_path: Path, real_io: None) -> None:
    lost, near = built(tmp_path / "real"), built(tmp_path / "near")
    (tmp_path / "mount").symlink_to(lost.folder)
    mount = mount_at(tmp_path / "mount")
    mount.is_there.clear()
    host = definitions(mount, near.folder, answer_s=0.5)
    try:
        with anyio.fail_after(20):
            assert await host.discover() == (near.key,)
            assert await host.links([str(mount), str(tmp_path / "none")]) == {}
    finally:
        mount.is_there.set()
    with anyio.fail_after(20):
        while await host.discover() != (near.key, lost.key):
            await anyio.lowlevel.checkpoint()
        # What was asked before may be at it still: as long as it is, nothing is known of the links.
        while await host.links([str(mount)]) != {str(mount): str(lost.folder)}:
            await anyio.lowlevel.checkpoint()
    await host.fingerprint(lost.key)


async def test_a_call_that_is_given_up_holds_up_nobody(tmp_path: Path, real_io_both: None) -> None:
    project = built(tmp_path / "mount")
    mount = mount_at(tmp_path / "mount")
    host = definitions(mount)
    assert await host.discover() == (project.key,)
    mount.is_there.clear()
    for _ in range(3):
        with anyio.move_on_after(0.01) as asked:
            await host.read(project.key)
        assert asked.cancelled_caught
    mount.is_there.set()
    with anyio.fail_after(20):
        await host.read(project.key)


async def test_what_goes_wrong_in_a_search_is_no_end_of_searches(tmp_path: Path, real_io: None) -> None:
    (tmp_path / "closed").mkdir()
    closed = Broken(tmp_path / "closed")
    host = HostDefinitions(HostRules(roots=(tmp_path,), closed=(closed,)), "/nonexistent", Clock())
    with pytest.RaisesGroup(RuntimeError):
        await host.discover()
    closed.is_broken = False
    assert await host.discover() == ()


class Broken(PosixPath):
    """A path that nothing can be done with, until it is mended."""

    is_broken = True

    def __fspath__(self) -> str:
        if self.is_broken:
            raise RuntimeError("a bug")
        return str(self)
