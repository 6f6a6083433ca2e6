"""One version, wherever it is said."""

from __future__ import annotations

import re
import tomllib

from packaging.version import Version
from support.built import ROOT

from ws_mcp import __version__

OWN = ROOT / "src" / "ws_mcp" / "__init__.py"
# Where it stands in another form, and in which.
SAID = {
    "release/server.json": (r'"version": "([^"]+)"', 2),
    "release/mcpb/manifest.json": (r'"version": "([^"]+)"', 1),
    "README.md": (r"ws-mcp +(\d+\.\d+\.\d+) on Python", 1),
}
IMAGE = r"(?<![\w-])ws-mcp:(\d[^\"\s`]*)"


def test_every_file_says_the_version_of_the_package() -> None:
    wrong: list[str] = []
    for name, (pattern, times) in SAID.items():
        found = re.findall(pattern, (ROOT / name).read_text(), re.MULTILINE)
        assert len(found) == times, f"{name} says it {len(found)} times"
        wrong += [f"{name} says {each}, {OWN.name} {__version__}" for each in found if each != __version__]
    assert wrong == []


def test_every_image_that_is_named_has_the_version_of_the_package() -> None:
    files = [ROOT / "README.md", ROOT / "release" / "server.json", *(ROOT / "docs").glob("*.md")]
    found = {path.name: re.findall(IMAGE, path.read_text()) for path in files}
    assert {name: said for name, said in found.items() if set(said) - {__version__}} == {}
    assert {name for name, said in found.items() if said} == {"server.json", "operations.md"}


def test_the_package_takes_its_version_from_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["hatch"]["version"]["path"] == OWN.relative_to(ROOT).as_posix()


def test_the_changelog_ends_at_this_version_or_before_it() -> None:
    released = [Version(each) for each in re.findall(r"(?m)^## (\S+)", (ROOT / "CHANGELOG.md").read_text())]
    assert released == sorted(set(released), reverse=True)
    now = Version(__version__)
    assert not released or released[0] <= now
    # What is released has no news left; what is not has some.
    fragments = [path for path in (ROOT / "changes").glob("*.md") if path.name != "README.md"]
    assert bool(fragments) or (bool(released) and released[0] == now)
