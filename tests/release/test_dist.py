"""What is uploaded: a wheel for each platform with the right programs, and an sdist; always the same bytes."""

from __future__ import annotations

import hashlib
import os
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest
from support.built import known_to_git, make_dist
from support.images import needs_loader

MOST_BYTES = 8 << 20
LINUX = ("linux-amd64", "linux-arm64")
WHEELS = {
    "linux-amd64": ("py3-none-manylinux_2_17_x86_64.musllinux_1_1_x86_64", LINUX),
    "linux-arm64": ("py3-none-manylinux_2_17_aarch64.musllinux_1_1_aarch64", LINUX),
    "darwin-amd64": ("py3-none-macosx_13_0_x86_64", (*LINUX, "darwin-amd64")),
    "darwin-arm64": ("py3-none-macosx_13_0_arm64", (*LINUX, "darwin-arm64")),
}
MAC_OLDEST = (13, 0)  # as in the names of the wheels


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `make dist` put what it made."""
    directory = tmp_path_factory.mktemp("dist")
    make_dist(directory)
    return directory


@pytest.fixture(params=WHEELS)
def wheel(request: pytest.FixtureRequest, dist: Path) -> Iterator[tuple[str, zipfile.ZipFile]]:
    """One of the wheels and its platform."""
    platform = str(request.param)
    (path,) = dist.glob(f"*-{WHEELS[platform][0]}.whl")
    with zipfile.ZipFile(path) as opened:
        yield platform, opened


def test_there_are_an_sdist_and_four_wheels_of_bounded_size(dist: Path) -> None:
    assert len(list(dist.iterdir())) == 5
    assert {path.name: path.stat().st_size for path in dist.iterdir() if path.stat().st_size > MOST_BYTES} == {}


def test_a_wheel_has_the_package_its_programs_and_nothing_else(wheel: tuple[str, zipfile.ZipFile]) -> None:
    platform, opened = wheel
    sources = {name.removeprefix("src/") for name in known_to_git("src/ws_mcp")}
    programs = {f"ws_mcp/_execd/execd-{each}" for each in WHEELS[platform][1]}
    about = {name for name in opened.namelist() if ".dist-info/" in name}
    assert set(opened.namelist()) - about == sources | programs
    assert {name.partition(".dist-info/")[2] for name in about} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }
    assert {"ws_mcp/py.typed", "ws_mcp/cli.py"} <= sources


def test_each_program_is_for_the_platform_that_its_name_says(wheel: tuple[str, zipfile.ZipFile]) -> None:
    platform, opened = wheel
    for each in WHEELS[platform][1]:
        entry = opened.getinfo(f"ws_mcp/_execd/execd-{each}")
        assert entry.external_attr >> 16 & 0o777 == 0o755
        program = opened.read(entry)
        assert platform_of(program) == each
        if each.startswith("linux"):
            assert not needs_loader(program)
        else:
            assert oldest_mac(program) <= MAC_OLDEST


def test_a_wheel_says_what_it_is(wheel: tuple[str, zipfile.ZipFile]) -> None:
    platform, opened = wheel
    said = message_from_bytes(opened.read(next(name for name in opened.namelist() if name.endswith("/WHEEL"))))
    tags = {f"py3-none-{each}" for each in WHEELS[platform][0].removeprefix("py3-none-").split(".")}
    assert set(said.get_all("Tag", [])) == tags
    assert said["Root-Is-Purelib"] == "false"
    about = message_from_bytes(opened.read(next(name for name in opened.namelist() if name.endswith("/METADATA"))))
    assert about["License-Expression"] == "Apache-2.0"
    assert about["Requires-Python"] == "<3.15,>=3.11"
    assert "# ws-mcp" in str(about.get_payload())


def test_the_sdist_has_only_files_of_the_project(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert names - known_to_git() == {"PKG-INFO"}
    assert {
        "LICENSE",
        "hatch_build.py",
        "execd/main.go",
        "execd/go.mod",
        "src/ws_mcp/cli.py",
        "release/dist.py",
    } <= names


def test_the_sdist_built_again_elsewhere_gives_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as opened:
        opened.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    before = os.umask(0o077)
    try:
        made = make_dist(tmp_path / "again", "linux-amd64", "darwin-arm64", tree=tree)
    finally:
        os.umask(before)
    assert len(made) == 2
    assert {path.name: digest(path) for path in made} == {path.name: digest(dist / path.name) for path in made}
    (again,) = make_dist(tmp_path / "sdist", "sdist")
    assert digest(again) == digest(sdist)


def test_a_platform_that_there_is_none_of_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"'linux-x86_64', and can be linux-amd64, linux-arm64"):
        make_dist(tmp_path, "linux-x86_64")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def platform_of(program: bytes) -> str:
    """Source: elf(5), e_machine; Apple's mach-o/loader.h and mach/machine.h, cputype."""
    if program.startswith(b"\x7fELF\x02\x01"):
        (machine,) = struct.unpack_from("<H", program, 18)
        return {62: "linux-amd64", 183: "linux-arm64"}[machine]
    magic, cpu = struct.unpack_from("<2I", program)
    assert magic == 0xFEEDFACF
    return {0x01000007: "darwin-amd64", 0x0100000C: "darwin-arm64"}[cpu]


def oldest_mac(program: bytes) -> tuple[int, int]:
    """The macOS that a program asks for. Source: Apple's mach-o/loader.h, LC_BUILD_VERSION."""
    (commands,) = struct.unpack_from("<I", program, 16)
    at = 32
    for _ in range(commands):
        command, size, _, oldest = struct.unpack_from("<4I", program, at)
        if command == 0x32:
            return oldest >> 16, oldest >> 8 & 0xFF
        at += size
    raise AssertionError("it does not say which macOS it needs")
