"""Definitions of dev containers: a fingerprint of a project of the usual size, and finding them in a large tree."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import table
from tests.bench.table import Line
from tests.support.raw_client import timed
from ws_mcp.core.devcontainers.discovery import Walk
from ws_mcp.core.devcontainers.fingerprint import fingerprint_of
from ws_mcp.core.devcontainers.inputs import Inputs, Look
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.host.model import HostRules

FINGERPRINT_S = 0.002
DISCOVERY_S = 0.1
OF_FIND = 1  # the system's own search reads every directory, and no rules
REPEATS = 50
ROUNDS = 5
FILES, DIRECTORIES, PROJECTS = 100_000, 4_000, 16
DOCKERFILE = """\
FROM debian:12 AS base
RUN apt-get update \\
    && apt-get install -y git curl
COPY requirements.txt pyproject.toml /tmp/
COPY scripts/ /usr/local/bin/
FROM base
COPY --from=base /etc /etc
"""


def measure_definitions() -> list[Line]:
    """Both, on files in a temporary directory that were read before."""
    with TemporaryDirectory(prefix="ws-mcp-bench-") as directory:
        root = Path(directory).resolve()
        return [*_fingerprint(root / "project"), *_discovery(root / "tree")]


def _fingerprint(folder: Path) -> list[Line]:
    inputs = Inputs(HostRules(roots=(folder,)), now_ns=lambda: 4 * 10**18)
    key = _usual_project(folder)

    def look() -> None:
        inputs.begin()
        fingerprint_of(key, inputs, Look(key.folder))

    first = timed(look)
    again = [timed(look) for _ in range(REPEATS)]
    note = f"(p95 {table.duration(table.p95(again))}; the first one {table.duration(first)})"
    name = "fingerprint of a dev container of the usual size, unchanged"
    return [table.below(name, table.p50(again), FINGERPRINT_S, table.duration, note)]


def _discovery(root: Path) -> list[Line]:
    _large_tree(root)
    counts: set[int] = set()

    def walk() -> None:
        counts.add(sum(1 for _ in Walk(str(root), str(root / "home")).find()))

    took: list[float] = []
    by_find: list[float] = []
    argv = ["find", str(root), "-name", "*devcontainer.json"]
    for _ in range(ROUNDS):
        took.append(timed(walk))
        by_find.append(timed(lambda: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)))
    if counts != {PROJECTS}:
        raise RuntimeError(f"{counts} of {PROJECTS} dev containers were found")
    name = f"discovery in a tree with {FILES:,} files"
    mine, alternative = table.p50(took), table.p50(by_find)
    return [
        table.below(name, mine, DISCOVERY_S, table.duration, f"({PROJECTS} found)"),
        table.at_most(f"{name} / find", table.duration(mine), table.duration(alternative), mine / alternative, OF_FIND),
    ]


def _usual_project(folder: Path) -> Key:
    config = {
        "build": {"dockerfile": "Dockerfile", "context": "..", "args": {"VARIANT": "12"}},
        "features": {"./tool": {"version": "1"}, "ghcr.io/devcontainers/features/node:1": {}},
        "containerEnv": {"A": "1"},
        "mounts": ["source=x,target=/x,type=volume"],
        "customizations": {"vscode": {"extensions": [f"a.b{number}" for number in range(20)]}},
        "postCreateCommand": "pip install -r requirements.txt",
    }
    files = {
        ".devcontainer/devcontainer.json": json.dumps(config, indent=2),
        ".devcontainer/Dockerfile": DOCKERFILE,
        ".devcontainer/tool/devcontainer-feature.json": '{"id": "tool"}',
        ".devcontainer/tool/install.sh": "true\n" * 50,
        "requirements.txt": "requests\n" * 40,
        "pyproject.toml": "[project]\n" * 40,
        **{f"scripts/{number}.sh": "true\n" * 20 for number in range(5)},
    }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return Key(folder=str(folder), config=str(folder / ".devcontainer/devcontainer.json"))


def _large_tree(root: Path) -> None:
    """Four repositories as people have them: more files are of dependencies, of git and of builds than of people."""
    places = ("src", "lib", "docs", "app", ".git/objects", "build", *("node_modules",) * 6)
    for at in range(DIRECTORIES):
        directory = root / f"repo{at % 4}" / places[at // 4 % len(places)] / f"a{at % 80}" / f"b{at}"
        directory.mkdir(parents=True)
        for number in range(FILES // DIRECTORIES):
            os.close(os.open(directory / f"f{number}.py", os.O_CREAT | os.O_WRONLY))
        if at < PROJECTS:
            (directory.parents[1] / f"p{at}" / ".devcontainer").mkdir(parents=True)
            (directory.parents[1] / f"p{at}" / ".devcontainer/devcontainer.json").write_text("{}")
    for number in range(4):
        rules = "build/\n*.pyc\n/dist\n*.log\n!keep.log\ndocs/_build\n**/tmp/*\n"
        (root / f"repo{number}" / ".gitignore").write_text(rules)
