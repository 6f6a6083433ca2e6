"""T07: the archives that go to an engine hold files and directories only, as two readers of other kinds see them."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.engine_contract import Ground, NewName, OnDocker, OnFake, OnPodman
from support.images import SCRATCH

from ws_mcp.core.engine.fill import fill_volume
from ws_mcp.core.engine.model import ContainerSpec, VolumeMount
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.entries import FileEntry
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.workspaces.files import archive_of

ENTRIES = (
    FileEntry(path="config.yaml", content=b"a: 1\n"),
    FileEntry(path="bin/run", content=b"#!/bin/sh\n", is_executable=True),
    FileEntry(path="empty", content=b""),
    FileEntry(path="block", content=bytes(range(256)) * 2),
    FileEntry(path="über/配置/x", content=b"\0" * 513),
    FileEntry(path=".wh.not-removed", content=b"w"),
    FileEntry(path="-rf", content=b"-"),
    FileEntry(path="p/" * 15 + "n", content=b"deep"),
    FileEntry(path=f"{'d' * 120}/{'f' * 99}", content=b"ustar"),
    FileEntry(path=f"{'e' * 200}/{'g' * 255}", content=b"longer than ustar"),
)
DIRECTORIES = {"bin", "über", "über/配置", "d" * 120, "e" * 200, *("/".join("p" * n) for n in range(1, 16))}


def members(archive: bytes) -> list[tarfile.TarInfo]:
    """As Python reads it from a stream, where nothing can be looked up twice."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r|", errorlevel=2) as tar:
        return list(tar)


def gnu_lines(archive: bytes) -> list[list[str]]:
    """As GNU tar lists it: mode, owner, size, date, time, name."""
    program = shutil.which("gtar") or "tar"
    words = [program, "--numeric-owner", "--utc", "--full-time", "--quoting-style=literal", "-tvf", "-"]
    done = subprocess.run(words, input=archive, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert done.stderr == b""
    return [line.split(maxsplit=5) for line in done.stdout.decode().splitlines()]


def test_the_stream_has_files_and_directories_of_one_owner_and_nothing_else() -> None:
    found = members(archive_of(ENTRIES, below="v", uid=1000, gid=1001))
    assert {member.type for member in found} == {tarfile.REGTYPE, tarfile.DIRTYPE}
    assert {(m.uid, m.gid, m.mtime, m.uname, m.gname, m.linkname) for m in found} == {(1000, 1001, 0, "", "", "")}
    assert {m.mode for m in found if m.isdir()} == {0o755}
    assert {m.name for m in found if m.mode == 0o755 and m.isreg()} == {"v/bin/run"}
    assert {m.mode for m in found if m.isreg()} == {0o644, 0o755}
    assert {m.name for m in found if m.isdir()} == {"v", *(f"v/{directory}" for directory in DIRECTORIES)}
    assert {m.name for m in found if m.isreg()} == {f"v/{entry.path}" for entry in ENTRIES}
    assert {key for m in found for key in m.pax_headers} == {"path"}
    assert [m.name for m in found if m.pax_headers] == [
        f"v/{'d' * 120}",
        f"v/{'e' * 200}",
        f"v/{'e' * 200}/{'g' * 255}",
    ]


def test_gnu_tar_reads_the_same() -> None:
    lines = gnu_lines(archive_of(ENTRIES, below="v", uid=1000, gid=1001))
    expected = {f"v/{d}/": ("drwxr-xr-x", 0) for d in DIRECTORIES} | {"v/": ("drwxr-xr-x", 0)}
    expected |= {f"v/{e.path}": ("-rwxr-xr-x" if e.is_executable else "-rw-r--r--", len(e.content)) for e in ENTRIES}
    assert {line[5]: (line[0], int(line[2])) for line in lines} == expected
    assert {tuple(line[1:2] + line[3:5]) for line in lines} == {("1000/1001", "1970-01-01", "00:00:00")}


def test_a_directory_stands_before_what_is_in_it() -> None:
    seen: set[str] = {""}
    for member in members(archive_of(ENTRIES, below="v")):
        assert member.name.rpartition("/")[0] in seen
        seen.add(member.name)


def test_an_archive_is_a_whole_number_of_blocks_and_plain() -> None:
    archive = archive_of(ENTRIES)
    assert len(archive) % 512 == 0
    assert archive[-1024:] == bytes(1024)
    assert archive[257:265] == b"ustar\x0000"
    assert archive_of(()) == bytes(1024)
    assert archive_of(reversed(ENTRIES)) == archive


@settings(max_examples=50, deadline=None)
@given(
    contents=st.dictionaries(st.from_regex(r"[a-c]{1,3}(/[a-cA-C0-9 ]{1,120}){0,3}", fullmatch=True), st.binary()),
    owner=st.integers(0, 0o7777777),
)
def test_what_is_put_in_is_read_out_of_the_stream(contents: dict[str, bytes], owner: int) -> None:
    entries = [FileEntry(path=path, content=content) for path, content in contents.items()]
    try:
        archive = archive_of(entries, uid=owner, gid=owner)
    except InvalidArgumentError:
        return
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r|") as tar:
        read = {m.name: f.read() for m in tar if m.isreg() and (f := tar.extractfile(m)) is not None and m.uid == owner}
    assert read == contents


@pytest.mark.parametrize("length", [99, 100, 101, 154, 155, 156, 251, 252, 253, 254, 255])
@pytest.mark.parametrize("above", ["", "d" * 90, "d" * 155, "d" * 156, "d" * 255])
def test_names_around_the_room_in_a_header_come_out_whole(length: int, above: str) -> None:
    path = f"{above}/{'n' * length}".lstrip("/")
    archive = archive_of([FileEntry(path=path, content=b"x")])
    assert members(archive)[-1].name == path
    assert gnu_lines(archive)[-1][5] == path


def test_a_user_whose_number_has_no_room_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="cannot own files"):
        archive_of(ENTRIES, uid=0o10000000)


class FilledVolume(Ground):
    """The archive in a volume of an engine."""

    async def test_a_volume_holds_what_the_archive_says(self, engine: Engine, new_name: NewName) -> None:
        volume = (await engine.create_volume(new_name(), {})).name
        mount = VolumeMount(volume=volume, target="/v", copies_image_content=False)
        reader = await engine.create(
            ContainerSpec(name=new_name(), image=SCRATCH, command=("/busybox",), mounts=(mount,))
        )
        await fill_volume(engine, volume, archive_of(ENTRIES, uid=1000, gid=1000))
        with tarfile.open(fileobj=io.BytesIO(await engine.get_archive(reader, "/v", 1 << 20))) as tar:
            found = {m.name.strip("/").removeprefix("v").strip("/"): m for m in tar}
            contents = {name: f.read() for name, m in found.items() if (f := tar.extractfile(m)) is not None}
        assert contents == {e.path: e.content for e in ENTRIES}
        assert {name for name, m in found.items() if m.isdir()} - {""} == DIRECTORIES
        assert {m.mode & 0o7777 for m in found.values() if m.isreg()} == {0o644, 0o755}
        assert not self.reads_owners or {m.uid for name, m in found.items() if name} == {1000}


class TestOnFake(OnFake, FilledVolume):
    """On the fake."""


class TestOnDocker(OnDocker, FilledVolume):
    """On a real engine."""


class TestOnPodman(OnPodman, FilledVolume):
    """On a real Podman."""
