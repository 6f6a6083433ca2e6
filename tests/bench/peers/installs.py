"""Peers from PyPI and npm, each in a directory of its own below `.peers/`, in versions that are pinned here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.ground import ROOT

PLACE = ROOT / ".peers"
INSTALL_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What is installed. `program`: a pattern below its directory. `beside`: what its own metadata forgot to say."""

    name: str
    registry: str
    version: str
    program: str
    beside: tuple[str, ...] = ()

    @property
    def directory(self) -> Path:
        """Its directory, without the owner that npm's names have."""
        return PLACE / self.name.rpartition("/")[2]

    @property
    def found(self) -> Path | None:
        """Its program, if the pinned version is there."""
        kept = self._kept.read_text() if self._kept.exists() else ""
        programs = sorted(self.directory.glob(self.program))
        return programs[0] if programs and kept == self._wanted else None

    def install(self) -> str:
        """Install it, unless it is there; returns why it could not be, or ""."""
        if self.found:
            return ""
        self.directory.mkdir(parents=True, exist_ok=True)
        steps = _from_npm(self) if self.registry == "npm" else _from_pypi(self)
        for argv in steps:
            try:
                done = subprocess.run(argv, capture_output=True, text=True, timeout=INSTALL_S, check=False)
            except (OSError, subprocess.TimeoutExpired) as error:
                return f"{type(error).__name__}: {argv[0]}"
            if done.returncode:
                return ([*done.stderr.strip().splitlines(), "no word"][-2:] or [""])[0][:200]
        self._kept.write_text(self._wanted)
        return "" if self.found else f"there is no {self.program} in it"

    @property
    def _kept(self) -> Path:
        return self.directory / ".installed"

    @property
    def _wanted(self) -> str:
        return " ".join((self.version, *self.beside))


PACKAGES = (
    Package(
        name="@openai/codex",
        registry="npm",
        version="0.171.0",
        program="node_modules/@openai/codex-*/vendor/*/bin/codex",
    ),
    Package(
        name="@wonderwhy-er/desktop-commander",
        registry="npm",
        version="0.2.52",
        program="node_modules/@wonderwhy-er/desktop-commander/dist/index.js",
    ),
    Package(name="mcp-background-job", registry="PyPI", version="0.1.2", program="bin/mcp-background-job"),
    # It does not start with the mcp 2 that it is content with.
    Package(name="sandbox-env-mcp", registry="PyPI", version="0.3.1", program="bin/sandbox-env-mcp", beside=("mcp<2",)),
    Package(name="mcp-server-docker", registry="PyPI", version="0.3.0", program="bin/mcp-server-docker"),
)


def install_all(say: Callable[[str], None]) -> None:
    """Install what is missing; what cannot be had is said, and the rest goes on."""
    for package in PACKAGES:
        why = package.install()
        say(f"{package.name} {package.version} from {package.registry}: {why or 'is there'}")


def _from_npm(package: Package) -> Sequence[Sequence[str]]:
    flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    return [("npm", "install", "--prefix", str(package.directory), *flags, f"{package.name}@{package.version}")]


def _from_pypi(package: Package) -> Sequence[Sequence[str]]:
    """They ask for Python 3.12; the versions pinned here run with 3.11, too."""
    pip = (str(package.directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "--ignore-requires-python")
    wanted = (f"{package.name}=={package.version}", *package.beside)
    return [(sys.executable, "-m", "venv", str(package.directory)), (*pip, *wanted)]
