"""`make changelog` moves the fragments into CHANGELOG.md, and every fragment is of the form that it can take."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.built import ROOT

FRAGMENTS = sorted(path for path in (ROOT / "changes").glob("*.md") if path.name != "README.md")
KINDS = ("added", "changed", "fixed", "removed")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with what towncrier reads of ours, and two fragments."""
    (tmp_path / "changes").mkdir()
    for name in ("pyproject.toml", "CHANGELOG.md", "changes/template.md.jinja", "changes/README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "changes" / "a-thing.added.md").write_text("There is `a thing`,\nwhich is new.\n")
    (tmp_path / "changes" / "a-fault.fixed.md").write_text("A fault is gone.\n")
    for argv in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(("git", *argv), cwd=tmp_path, check=True)
    return tmp_path


def collect(project: Path, version: str) -> None:
    """As the Makefile does."""
    argv = (sys.executable, "-m", "towncrier", "build", "--yes", "--version", version, "--date", "2026-11-27")
    done = subprocess.run(argv, cwd=project, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_fragments_move_under_the_heading_of_the_version(project: Path) -> None:
    collect(project, "9.8.0")
    text = (project / "CHANGELOG.md").read_text()
    told = [line for line in text.partition("release notes start")[2].splitlines()[1:] if line]
    assert told[:3] == ["## 9.8.0 (2026-11-27)", "### Added", "- There is `a thing`,"]
    assert told[3:6] == ["  which is new.", "### Fixed", "- A fault is gone."]
    assert "a-thing" not in text
    assert sorted(path.name for path in (project / "changes").iterdir()) == ["README.md", "template.md.jinja"]


def test_a_later_version_stands_before_an_earlier_one(project: Path) -> None:
    collect(project, "9.8.0")
    (project / "changes" / "more.changed.md").write_text("More.\n")
    collect(project, "9.9.0")
    assert re.findall(r"(?m)^## (\S+)", (project / "CHANGELOG.md").read_text())[:2] == ["9.9.0", "9.8.0"]


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_has_a_kind_and_a_text_without_a_bullet(fragment: Path) -> None:
    assert re.fullmatch(rf"[a-z0-9-]+\.({'|'.join(KINDS)})\.md", fragment.name)
    text = fragment.read_text()
    assert text.strip()
    assert not text.startswith(("-", "*", "#"))
