"""The Inspector's command line, installed once into this user's cache; `python -m support.inspector` does just that.

CI runs that before its tests, which have no way to a registry where they run beside a private engine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "2.12.0"


class InspectorMissingError(Exception):
    """It is not there and cannot be installed; the text says what to do."""


def inspector() -> Path:
    """The Inspector's program.

    Raises:
        InspectorMissingError
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ws-mcp-tests" / f"inspector-{VERSION}"
    if not home.exists():
        _install(home)
    return home / "node_modules" / ".bin" / "mcp-inspector"


def _install(home: Path) -> None:
    if shutil.which("npm") is None:
        raise InspectorMissingError("the Inspector needs node and npm: install them (Debian: apt-get install npm)")
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as directory:
        fresh = Path(directory) / "new"
        argv = ("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(fresh))
        package = f"@modelcontextprotocol/inspector@{VERSION}"
        done = subprocess.run((*argv, package), capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise InspectorMissingError(f"npm could not install the Inspector: {done.stderr.strip()[-500:]}")
        if not home.exists():
            fresh.rename(home)


if __name__ == "__main__":
    try:
        print(inspector())
    except InspectorMissingError as error:
        sys.exit(str(error))
