"""The contract of the engine door: archives, images, volumes, networks."""

from __future__ import annotations

import io
import tarfile

import pytest
from support.engine_contract import Ground, NewName, OnDocker, OnFake, OnPodman, ended, sleeper
from support.images import BUSYBOX, SCRATCH, Tree

from ws_mcp.core.engine.fill import file_entry, fill_volume, own_volume, tar_of
from ws_mcp.core.engine.model import ContainerSpec, VolumeMount
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import (
    EngineConflictError,
    EngineError,
    EngineNotFoundError,
    ImageNotFoundError,
    InvalidArgumentError,
)

BIG = 1024 * 1024


def members_of(tar: bytes, top: str) -> dict[str, tarfile.TarInfo]:
    """What is in an archive of the directory `top`, by its path below it; engines name the top itself or do not."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {m.name.strip("/").removeprefix(top).strip("/"): m for m in archive}


def content_of(tar: bytes, member: tarfile.TarInfo) -> bytes:
    """The content of one file in an archive."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        found = archive.extractfile(member)
        assert found is not None
        return found.read()


class FilesContract(Ground):
    """Files get into containers and volumes as they were, and out again."""

    async def test_files_reach_a_volume_before_the_start_of_a_read_only_container(
        self, engine: Engine, new_name: NewName
    ) -> None:
        mount = VolumeMount(volume=new_name(), target="/data")
        spec = ContainerSpec(name=new_name(), image=BUSYBOX, mounts=(mount,), is_read_only=True)
        container = await engine.create(spec)
        tree = Tree().directory("d", mode=0o750, owner=1000).file("d/f", b"hello", mode=0o640, owner=1000)
        tree.file("run", b"#!", mode=0o755).link("l", "d/f").file("big", bytes(range(256)) * 4096)
        await engine.put_archive(container, "/data", tree.tar())
        tar = await engine.get_archive(container, "/data", 4 * BIG)
        found = members_of(tar, "data")
        assert self.looks(found["d"], tarfile.DIRTYPE, 0o750, 1000)
        assert self.looks(found["d/f"], tarfile.REGTYPE, 0o640, 1000)
        assert self.looks(found["run"], tarfile.REGTYPE, 0o755, 0)
        assert found["l"].issym()
        assert content_of(tar, found["d/f"]) == b"hello"
        assert content_of(tar, found["big"]) == bytes(range(256)) * 4096

    async def test_files_do_not_reach_a_read_only_root(self, engine: Engine, new_name: NewName) -> None:
        container = await engine.create(ContainerSpec(name=new_name(), image=BUSYBOX, is_read_only=True))
        if self.refuses_read_only_root:
            with pytest.raises(EngineError, match="read-only"):
                await engine.put_archive(container, "/tmp", Tree().file("f", b"").tar())
        else:
            await engine.put_archive(container, "/tmp", Tree().file("f", b"").tar())
            assert await engine.get_archive(container, "/tmp/f", BIG)

    async def test_files_reach_a_container_that_runs(self, engine: Engine, new_name: NewName) -> None:
        container = await sleeper(engine, new_name())
        await engine.put_archive(container, "/home/dev", Tree().file("f", b"x", owner=1000).tar())
        tar = await engine.get_archive(container, "/home/dev/f", BIG)
        found = members_of(tar, "")
        assert self.looks(found["f"], tarfile.REGTYPE, 0o644, 1000)
        assert content_of(tar, found["f"]) == b"x"

    async def test_a_directory_or_path_that_is_missing_is_not_found(self, engine: Engine, new_name: NewName) -> None:
        container = await engine.create(ContainerSpec(name=new_name(), image=BUSYBOX))
        with pytest.raises(EngineNotFoundError):
            await engine.put_archive(container, "/no/such/place", Tree().file("f", b"").tar())
        with pytest.raises(EngineNotFoundError):
            await engine.get_archive(container, "/no/such/file", BIG)

    async def test_an_archive_out_of_a_container_is_bounded(self, engine: Engine, new_name: NewName) -> None:
        container = await engine.create(ContainerSpec(name=new_name(), image=BUSYBOX))
        await engine.put_archive(container, "/tmp", Tree().file("big", b"x" * BIG).tar())
        with pytest.raises(EngineError, match="larger than 1000 bytes"):
            await engine.get_archive(container, "/tmp/big", 1000)
        assert len(await engine.get_archive(container, "/tmp/big", 2 * BIG)) >= BIG

    @pytest.mark.parametrize("magic", [b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"])
    async def test_a_compressed_archive_is_refused(self, engine: Engine, new_name: NewName, magic: bytes) -> None:
        container = await engine.create(ContainerSpec(name=new_name(), image=BUSYBOX))
        with pytest.raises(InvalidArgumentError, match="compressed"):
            await engine.put_archive(container, "/tmp", magic + b"\0" * 600)

    async def test_a_volume_is_filled_by_a_container_that_never_runs(self, engine: Engine, new_name: NewName) -> None:
        volume = (await engine.create_volume(new_name(), {})).name
        await fill_volume(engine, volume, tar_of(file_entry("execd", b"\x7fELF", mode=0o755)))
        await fill_volume(engine, volume, tar_of(file_entry("more", b"2", mode=0o600)))
        found = await self.volume_members(engine, new_name(), volume)
        assert set(found) == {"", "execd", "more"}
        assert self.looks(found["execd"], tarfile.REGTYPE, 0o755, 0)
        assert self.looks(found["more"], tarfile.REGTYPE, 0o600, 0)

    async def test_a_volume_is_given_to_a_user_where_the_engine_can(self, engine: Engine, new_name: NewName) -> None:
        volume = (await engine.create_volume(new_name(), {})).name
        await fill_volume(engine, volume, tar_of(file_entry("more", b"2", mode=0o600)))
        assert await own_volume(engine, volume, 1000, 1000) is self.reads_owners
        found = await self.volume_members(engine, new_name(), volume)
        assert self.looks(found["more"], tarfile.REGTYPE, 0o600, 0)
        if self.reads_owners:
            assert self.looks(found[""], tarfile.DIRTYPE, 0o755, 1000)

    async def volume_members(self, engine: Engine, name: str, volume: str) -> dict[str, tarfile.TarInfo]:
        mount = VolumeMount(volume=volume, target="/v", is_read_only=True)
        reader = await engine.create(ContainerSpec(name=name, image=SCRATCH, command=("/busybox",), mounts=(mount,)))
        return members_of(await engine.get_archive(reader, "/v", BIG), "v")

    async def test_an_empty_volume_takes_over_what_the_image_has_there(self, engine: Engine, new_name: NewName) -> None:
        kept, bare = new_name(), new_name()
        mounts = (
            VolumeMount(volume=kept, target="/home"),
            VolumeMount(volume=bare, target="/etc", copies_image_content=False),
        )
        spec = ContainerSpec(name=new_name(), image=BUSYBOX, command=("sleep", "1000"), mounts=mounts, network="none")
        container = await engine.create(spec)
        if not self.fills_volumes_on_create:
            await engine.start(container)
        found = members_of(await engine.get_archive(container, "/home", BIG), "home")
        assert self.looks(found["dev"], tarfile.DIRTYPE, 0o755, 1000)
        etc = members_of(await engine.get_archive(container, "/etc", BIG), "etc")
        assert ("passwd" in etc) is not self.honours_no_copy

    def looks(self, member: tarfile.TarInfo, kind: bytes, mode: int, owner: int) -> bool:
        """Whether type, permissions and owner are these; an engine may hide the owner."""
        return (member.type, member.mode & 0o7777, member.uid if self.reads_owners else owner) == (kind, mode, owner)


class OwnersContract(Ground):
    """Owners as processes see them, also where an engine hides them in archives."""

    async def test_a_filled_volume_and_its_top_have_their_owners(self, engine: Engine, new_name: NewName) -> None:
        volume = (await engine.create_volume(new_name(), {})).name
        await fill_volume(engine, volume, tar_of(file_entry("execd", b"\x7fELF", mode=0o755)))
        await own_volume(engine, volume, 1000, 1001)
        mounts = (VolumeMount(volume=volume, target="/v", copies_image_content=False),)
        command = ("sh", "-c", "stat -c '%u:%g %a' /v /v/execd")
        # Podman gives a volume to the user of the first container that starts with it, whoever had it.
        spec = ContainerSpec(
            name=new_name(), image=BUSYBOX, command=command, user="1000:1001", mounts=mounts, network="none"
        )
        container = await engine.create(spec)
        await engine.start(container)
        await ended(engine, container)
        assert await engine.logs(container, 10, 1000) == "1000:1001 755\n0:0 755\n"


class ObjectsContract:
    """Images, volumes and networks."""

    async def test_an_imported_image_is_there(self, engine: Engine) -> None:
        await engine.import_image(Tree().file("hello", b"x").tar(), "wsmcp-test-import:1")
        found = await engine.image("wsmcp-test-import:1")
        assert any(tag.endswith("wsmcp-test-import:1") for tag in found.tags)
        assert found.architecture in ("amd64", "arm64")
        assert (await engine.image(found.id)).id == found.id
        assert any(found.tags[0] in image.tags for image in await engine.list_images())

    async def test_an_image_says_what_it_runs(self, engine: Engine) -> None:
        assert (await engine.image(BUSYBOX)).command == ("sh",)
        with pytest.raises(ImageNotFoundError):
            await engine.image("sha256:" + "0" * 64)

    async def test_a_volume_that_exists_comes_back_as_it_is(self, engine: Engine, new_name: NewName) -> None:
        name = new_name()
        made = await engine.create_volume(name, {"test.owner": "one"})
        assert (made.name, made.driver, made.options) == (name, "local", {})
        again = await engine.create_volume(name, {"test.owner": "two"})
        assert again == made == await engine.inspect_volume(name)
        assert again.labels["test.owner"] == "one"
        assert [v.name for v in await engine.list_volumes({"test.owner": "one"}) if v.name == name] == [name]
        assert await engine.list_volumes({"test.owner": "one", "test.none": ""}) == ()

    async def test_a_volume_is_removed_once_nobody_uses_it(self, engine: Engine, new_name: NewName) -> None:
        name = new_name()
        await engine.create_volume(name, {})
        mounts = (VolumeMount(volume=name, target="/data"),)
        container = await engine.create(ContainerSpec(name=new_name(), image=BUSYBOX, mounts=mounts))
        with pytest.raises(EngineConflictError):
            await engine.remove_volume(name)
        await engine.remove(container)
        await engine.remove_volume(name)
        await engine.remove_volume(name)
        with pytest.raises(EngineNotFoundError):
            await engine.inspect_volume(name)

    async def test_a_network_is_made_found_and_removed(self, engine: Engine, new_name: NewName) -> None:
        name = new_name()
        await engine.create_network(name, {"test.net": name}, is_internal=True)
        with pytest.raises(EngineConflictError, match="exists"):
            await engine.create_network(name, {}, is_internal=False)
        assert [network.name for network in await engine.list_networks({"test.net": name})] == [name]
        spec = ContainerSpec(name=new_name(), image=BUSYBOX, command=("sleep", "1000"), network=name)
        container = await engine.create(spec)
        await engine.start(container)
        assert (await engine.inspect(container)).network == name
        with pytest.raises(EngineConflictError):
            await engine.remove_network(name)
        await engine.remove(container)
        await engine.remove_network(name)
        await engine.remove_network(name)
        assert await engine.list_networks({"test.net": name}) == ()

    async def test_a_container_whose_network_is_missing_does_not_start(self, engine: Engine, new_name: NewName) -> None:
        spec = ContainerSpec(name=new_name(), image=BUSYBOX, command=("sleep", "1000"), network=new_name())
        with pytest.raises(EngineNotFoundError, match="network"):
            await engine.start(await engine.create(spec))


class TestFakeFiles(OnFake, FilesContract, ObjectsContract):
    """The contract on the fake."""


class TestDockerFiles(OnDocker, FilesContract, OwnersContract, ObjectsContract):
    """The contract on a real engine."""


class TestPodmanFiles(OnPodman, FilesContract, OwnersContract, ObjectsContract):
    """The contract on a real Podman."""
