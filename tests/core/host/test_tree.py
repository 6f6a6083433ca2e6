"""A tree of files as it is read for a workspace. What is refused: tests/security, T06."""

from __future__ import annotations

from pathlib import Path

from ws_mcp.core.entries import CONFIG_LIMITS, FileEntry
from ws_mcp.core.host.tree import read_tree


def test_a_tree_is_read_sorted_with_its_executables(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "b" / "c" / "run").write_bytes(b"#!")
    (tmp_path / "b" / "c" / "run").chmod(0o4755)
    (tmp_path / "b" / "z").write_bytes(bytes(range(256)))
    (tmp_path / "a").write_bytes(b"")
    assert read_tree(tmp_path, CONFIG_LIMITS, "template 'py'") == (
        FileEntry(path="a", content=b""),
        FileEntry(path="b/c/run", content=b"#!", is_executable=True),
        FileEntry(path="b/z", content=bytes(range(256))),
    )


def test_an_empty_directory_has_no_files(tmp_path: Path) -> None:
    assert read_tree(tmp_path, CONFIG_LIMITS, "template 'py'") == ()
