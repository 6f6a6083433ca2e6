"""The wheels of what ws-mcp needs to run, as `make wheelhouse` fetched them, and empty environments to install into.

Where tests run beside a private engine there is no way to a registry, so what is installed comes from these files.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

BIN = Path(sys.prefix) / "bin"
PLACE = Path(os.environ.get("WS_MCP_WHEELHOUSE") or Path(__file__).parents[2] / ".venv" / "wheelhouse")


def wheelhouse_missing() -> str:
    """Why the tests of installed packages cannot run here; "" when they can."""
    return "" if (PLACE / ".ready").exists() else "the wheels that they install are missing: make wheelhouse"


def temporary_of(home: Path) -> Path:
    """Where a newcomer's programs leave what they forget."""
    return home / "tmp"


def bare_environment(home: Path) -> Mapping[str, str]:
    """What a newcomer's shell has, without a way to a registry or to this checkout; the engine stays."""
    temporary_of(home).mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("DOCKER_HOST", "LANG") if name in os.environ}
    found = {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(PLACE), "UV_PYTHON_DOWNLOADS": "never"}
    # Its cache may be shared with this user's: there is less to unpack then.
    cache = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
    return {
        **kept,
        **found,
        "UV_CACHE_DIR": cache,
        "PATH": f"{home}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(temporary_of(home)),
    }


def run(*argv: str, home: Path, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """A command of a newcomer."""
    return subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        cwd=home,
        env=bare_environment(home),
        stdin=subprocess.DEVNULL,
    )


def install(wheel: Path, home: Path) -> Path:
    """Install a wheel into an empty virtual environment; returns where its programs are."""
    environment = home / "venv"
    uv = str(BIN / "uv")
    python = str(environment / "bin" / "python")
    for argv in (
        (uv, "venv", "--no-project", "--python", sys.executable, str(environment)),
        (uv, "pip", "install", "--python", python, str(wheel)),
    ):
        done = run(*argv, home=home)
        assert done.returncode == 0, done.stderr
    return environment / "bin"
