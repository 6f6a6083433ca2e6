"""The checked copy is ours alone and gone afterwards; paths of labels lead where they really lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from ws_mcp.core.devcontainers.copies import copy_beside, private_copy, real_paths
from ws_mcp.core.errors import StateError

pytestmark = pytest.mark.anyio


async def test_a_copy_is_private_and_gone_afterwards(real_io: None) -> None:
    async with private_copy('{"image": "ä"}') as path:
        assert path.name == "devcontainer.json"
        assert path.read_text() == '{"image": "ä"}'
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.parent.exists()


async def test_a_temporary_directory_that_cannot_be_written_is_said(
    real_io: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(StateError, match="No such file"):
        async with private_copy("{}"):
            pass


async def test_a_lock_file_is_copied_beside_a_copy_and_a_link_in_its_place_is_not_followed(
    real_io: None, tmp_path: Path
) -> None:
    lock, link = tmp_path / ".devcontainer-lock.json", tmp_path / "link"
    lock.write_text("locked")
    link.symlink_to(lock)
    async with private_copy("{}") as path:
        copied = path.with_name("devcontainer-lock.json")
        await copy_beside(link, path)
        assert not copied.exists()
        await copy_beside(lock, path)
        assert copied.read_text() == "locked"


def test_only_paths_with_links_in_them_are_told(tmp_path: Path) -> None:
    real, link = linked(tmp_path)
    asked = (str(link / "shop"), str(real), "C:\\projects\\shop", "/nul\0l")
    assert real_paths(asked) == {str(link / "shop"): str(real / "shop")}


def linked(base: Path) -> tuple[Path, Path]:
    """A directory and a link to it, below a path without links."""
    real, link = base.resolve() / "real", base.resolve() / "link"
    real.mkdir()
    link.symlink_to(real)
    return real, link
