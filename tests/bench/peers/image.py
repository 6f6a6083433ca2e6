"""The image of all whose processes run in containers: busybox, and this machine's bash, which one of them needs."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path

from tests.support.docker_cli import docker
from tests.support.images import busybox_tar

IMAGE = "wsmcp-bench-peers:2"
BASH = Path("/bin/bash")


def make_image() -> str:
    """Make it, unless the engine has it; returns its name."""
    if not docker("images", "--quiet", IMAGE).strip():
        argv = ("docker", "import", "--change", 'CMD ["sleep","infinity"]', "-", IMAGE)
        subprocess.run(argv, input=_tar(), check=True, capture_output=True)
    return IMAGE


def _tar() -> bytes:
    buffer = io.BytesIO(busybox_tar())
    said = subprocess.run(("ldd", str(BASH)), capture_output=True, text=True, check=True).stdout
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        for name in (str(BASH), *re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.MULTILINE)):
            archive.add(Path(name).resolve(), name.lstrip("/"))
    return buffer.getvalue()
