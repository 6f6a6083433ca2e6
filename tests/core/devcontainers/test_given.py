"""What is mounted in a container is what was checked, as far as its execd can tell."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from support.fake_execd import FakeExecd, open_fake_execd
from support.fake_files import DIRECTORY, Entry, inner_path

from ws_mcp.core.devcontainers.given import check_given
from ws_mcp.core.errors import ForbiddenError, PlaceUnavailableError
from ws_mcp.core.execd import files
from ws_mcp.core.execd.client import ExecdClient, open_execd
from ws_mcp.core.host.model import Given

pytestmark = pytest.mark.usefixtures("real_io")

BOOT = "/proc/sys/kernel/random/boot_id"
DATA = Given(target="/data", device=0, inode=0, is_directory=True)


class Inside:
    """A container with a directory at /data, a file at /file and the kernel of this machine."""

    def __init__(self, execd: FakeExecd, boot: Path) -> None:
        self.execd = execd
        self.secret = execd.secret
        self.boot = boot
        boot.write_text("b00t\n")
        self.put(BOOT, b"b00t\n")
        self.put("/file", b"x")
        execd.disk.tree.add(inner_path("/data"), DIRECTORY)

    def put(self, path: str, content: bytes) -> None:
        self.execd.disk.tree.add(inner_path(path), Entry(content=content))

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[ExecdClient]:
        async with (
            self.execd.dial() as stream,
            open_execd(stream, self.secret, on_event=None, client_name="test") as client,
        ):
            yield client

    async def given(self, target: str) -> Given:
        """As it is now."""
        async with self.connected() as client:
            status = await files.stat(client, "/", target.strip("/"))
            is_directory = status.kind is files.FileKind.DIRECTORY
            return Given(target=target, device=status.device, inode=status.inode, is_directory=is_directory)

    async def check(self, *given: Given) -> None:
        await check_given(self.connected, given, self.boot)


@asynccontextmanager
async def open_inside(tmp_path: Path) -> AsyncGenerator[Inside]:
    with anyio.fail_after(20):
        async with open_fake_execd() as execd:
            yield Inside(execd, tmp_path / "boot")


async def test_what_was_checked_is_what_is_there(tmp_path: Path) -> None:
    async with open_inside(tmp_path) as inside:
        await inside.check(await inside.given("/data"), await inside.given("/file"))


@pytest.mark.parametrize("change", [{"inode": 7}, {"device": 7}])
async def test_another_directory_is_refused(tmp_path: Path, change: dict[str, int]) -> None:
    async with open_inside(tmp_path) as inside:
        given = replace(await inside.given("/data"), **change)
        with pytest.raises(ForbiddenError, match="at /data another directory is mounted"):
            await inside.check(await inside.given("/file"), given)


async def test_a_directory_in_place_of_a_file_and_a_file_in_place_of_a_directory_are_others(tmp_path: Path) -> None:
    async with open_inside(tmp_path) as inside:
        for given in (replace(DATA, is_directory=False), replace(DATA, target="/file")):
            with pytest.raises(ForbiddenError, match=given.target):
                await inside.check(given)


async def test_a_file_that_was_saved_anew_is_no_other(tmp_path: Path) -> None:
    async with open_inside(tmp_path) as inside:
        await inside.check(replace(DATA, target="/file", is_directory=False))


async def test_under_another_kernel_and_out_of_sight_nothing_can_be_told(tmp_path: Path) -> None:
    async with open_inside(tmp_path) as inside:
        await inside.check(replace(DATA, target="/missing/x"))
        inside.put(BOOT, b"other\n")
        await inside.check(DATA)
        inside.boot.unlink()
        await inside.check(DATA)


async def test_an_execd_that_does_not_answer_is_not_believed(tmp_path: Path) -> None:
    async with open_inside(tmp_path) as inside:
        inside.secret = "0bad"
        with pytest.raises(PlaceUnavailableError, match="does not say what is mounted"):
            await inside.check(DATA)
        await inside.check()
