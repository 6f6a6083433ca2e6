"""Makes what is uploaded: `python release/dist.py DIRECTORY [sdist] [PLATFORM ...]`; without names, all of it.

The same sources give the same bytes, whenever and wherever they are built: SOURCE_DATE_EPOCH is fixed unless it is set.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLATFORMS = ("linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64")
# The first second that a zip file can say; hatchling's own default would be another one with each release of it.
EPOCH = "315532800"


def build(kind: str, directory: Path, platform: str = "") -> None:
    """Let hatchling make one file; it says which."""
    argv = (sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(directory.absolute()))
    fixed = {"WS_MCP_WHEEL": platform, "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", EPOCH)}
    subprocess.run(argv, cwd=ROOT, env={**os.environ, **fixed}, check=True)


def main() -> None:
    """What was named."""
    directory, *wanted = sys.argv[1:]
    for each in wanted or ("sdist", *PLATFORMS):
        build("sdist" if each == "sdist" else "wheel", Path(directory), each.removeprefix("sdist"))


if __name__ == "__main__":
    main()
