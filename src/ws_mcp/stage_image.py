"""The image that the demo makes where a static busybox is on this machine: no registry is needed."""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path

from ws_mcp.core.engine.fill import tar_of

APPLETS = ("sh", "cat", "echo", "grep", "ls", "sleep", "tee", "wget", "httpd")
CLI_APPLETS = ("chmod", "env", "id", "mkdir", "ps", "readlink", "stat", "test", "uname")  # for the dev container CLI
PASSWD = b"root:x:0:0:root:/root:/bin/sh\n"


def static_busybox() -> Path | None:
    """A busybox of this machine that runs without its libraries, if there is one."""
    found = shutil.which("busybox") if sys.platform == "linux" else None
    # A program that needs a loader names it in its first page: `/lib64/ld-linux-x86-64.so.2` or the like.
    return Path(found) if found and b"/ld-" not in Path(found).read_bytes()[:4096] else None


def image_tar(busybox: Path) -> bytes:
    """A root file system with busybox and the name of its user."""
    program, content = tarfile.TarInfo("bin/busybox"), busybox.read_bytes()
    program.size, program.mode = len(content), 0o755
    passwd = tarfile.TarInfo("etc/passwd")
    passwd.size = len(PASSWD)
    entries = [(program, content), (passwd, PASSWD)]
    for applet in (*APPLETS, *CLI_APPLETS):
        link = tarfile.TarInfo(f"bin/{applet}")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        entries.append((link, b""))
    return tar_of(*entries)
