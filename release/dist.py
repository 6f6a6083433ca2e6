"""Makes what is uploaded: `python release/dist.py DIRECTORY [sdist] [PLATFORM ...]`; without names, all of it.

`python release/dist.py DIRECTORY image` (or `bundle`) makes what the image is built from, or the bundle is packed from.

The same sources give the same bytes, whenever and wherever they are built: SOURCE_DATE_EPOCH is fixed unless it is set.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
RELEASE = ROOT / "release"
# As Python calls the machine of each.
PLATFORMS = {
    "linux-amd64": "sys_platform == 'linux' and platform_machine == 'x86_64'",
    "linux-arm64": "sys_platform == 'linux' and platform_machine == 'aarch64'",
    "darwin-amd64": "sys_platform == 'darwin' and platform_machine == 'x86_64'",
    "darwin-arm64": "sys_platform == 'darwin' and platform_machine == 'arm64'",
}
# The first second that a zip file can say; hatchling's own default would be another one with each release of it.
EPOCH = "315532800"

BUNDLE = """\
[project]
name = "ws-mcp-bundle"
version = "{version}"
requires-python = ">=3.11,<3.15"
dependencies = ["ws-mcp=={version}"]

[tool.uv]
package = false
environments = {markers}

[tool.uv.sources]
ws-mcp = [
{sources}
]
"""


def build(kind: str, directory: Path, platform: str = "") -> Path:
    """Let hatchling make one file; which is printed."""
    directory.mkdir(parents=True, exist_ok=True)
    fixed = {"WS_MCP_WHEEL": platform, "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", EPOCH)}
    with TemporaryDirectory(dir=directory) as fresh:
        argv = (
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "--target",
            kind,
            "--directory",
            str(Path(fresh).absolute()),
        )
        done = subprocess.run(argv, cwd=ROOT, env={**os.environ, **fixed}, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        (made,) = Path(fresh).iterdir()
        print(directory / made.name, flush=True)
        return made.replace(directory / made.name)


def image(directory: Path) -> None:
    """The build context of the image, for both architectures."""
    wheels = [build("wheel", directory, platform) for platform in PLATFORMS if platform.startswith("linux")]
    hashes = (f"--hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}" for wheel in wheels)
    ours = " ".join((f"ws-mcp=={_version(wheels[0])}", *hashes))
    locked = (ROOT / "requirements" / "run.txt").read_text()
    (directory / "requirements.txt").write_text(f"{locked}{ours}\n")
    shutil.copy(RELEASE / "Containerfile", directory)


def bundle(directory: Path) -> None:
    """What the bundle is packed from: it has the wheels, of which uv takes the one for its machine."""
    wheels = {platform: build("wheel", directory / "wheels", platform) for platform in PLATFORMS}
    sources = (
        f"    {{ path = {json.dumps(f'wheels/{wheel.name}')}, marker = {json.dumps(PLATFORMS[platform])} }},"
        for platform, wheel in wheels.items()
    )
    version = _version(next(iter(wheels.values())))
    text = BUNDLE.format(version=version, markers=json.dumps([*PLATFORMS.values()]), sources="\n".join(sources))
    (directory / "pyproject.toml").write_text(text)
    for name in ("manifest.json", "server.py"):
        shutil.copy(RELEASE / "mcpb" / name, directory)


def _version(wheel: Path) -> str:
    return wheel.name.split("-")[1]


def main() -> None:
    """What was named."""
    directory, *wanted = sys.argv[1:]
    whole = {"image": image, "bundle": bundle}
    for each in wanted or ("sdist", *PLATFORMS):
        if each in whole:
            whole[each](Path(directory))
        else:
            build("sdist" if each == "sdist" else "wheel", Path(directory), each.removeprefix("sdist"))


if __name__ == "__main__":
    main()
