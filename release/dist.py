"""Makes what is uploaded: `python release/dist.py DIRECTORY [sdist] [PLATFORM ...]`; without names, all of it.

`python release/dist.py DIRECTORY image` makes what the image is built from.

The same sources give the same bytes, whenever and wherever they are built: SOURCE_DATE_EPOCH is fixed unless it is set.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from hashlib import sha256
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


def image(directory: Path) -> None:
    """The build context of the image, for both architectures."""
    for platform in (platform for platform in PLATFORMS if platform.startswith("linux")):
        build("wheel", directory, platform)
    shutil.copy(ROOT / "release" / "Containerfile", directory)
    hashes = (f"--hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}" for wheel in sorted(directory.glob("*.whl")))
    version = next(directory.glob("*.whl")).name.split("-")[1]
    ours = " ".join((f"ws-mcp=={version}", *hashes))
    locked = (ROOT / "requirements" / "run.txt").read_text()
    (directory / "requirements.txt").write_text(f"{locked}{ours}\n")


def main() -> None:
    """What was named."""
    directory, *wanted = sys.argv[1:]
    if wanted == ["image"]:
        image(Path(directory))
        return
    for each in wanted or ("sdist", *PLATFORMS):
        build("sdist" if each == "sdist" else "wheel", Path(directory), each.removeprefix("sdist"))


if __name__ == "__main__":
    main()
