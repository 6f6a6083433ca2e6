"""Images for tests, made here: no registry is needed. Needs Debian's busybox-static (or any static busybox)."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path

BUSYBOX = "wsmcp-test-busybox:1"
SCRATCH = "wsmcp-test-scratch:1"

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
dev:x:1000:1000:dev:/home/dev:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
"""
GROUP = "root:x:0:\ndev:x:1000:\nnogroup:x:65534:\n"


class Tree:
    """An archive of a root file system, made entry by entry."""

    def __init__(self) -> None:
        self._entries: list[tuple[tarfile.TarInfo, bytes]] = []

    def directory(self, name: str, *, mode: int = 0o755, owner: int = 0) -> Tree:
        """Add a directory."""
        return self._add(name, tarfile.DIRTYPE, mode=mode, owner=owner)

    def file(self, name: str, content: bytes, *, mode: int = 0o644, owner: int = 0) -> Tree:
        """Add a file."""
        return self._add(name, tarfile.REGTYPE, mode=mode, owner=owner, content=content)

    def link(self, name: str, target: str) -> Tree:
        """Add a symbolic link."""
        return self._add(name, tarfile.SYMTYPE, mode=0o777, target=target)

    def tar(self) -> bytes:
        """The whole archive."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for entry, content in self._entries:
                archive.addfile(entry, io.BytesIO(content) if content else None)
        return buffer.getvalue()

    def _add(
        self, name: str, kind: bytes, *, mode: int, owner: int = 0, content: bytes = b"", target: str = ""
    ) -> Tree:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.linkname, entry.size = kind, mode, target, len(content)
        entry.uid = entry.gid = owner
        self._entries.append((entry, content))
        return self


def busybox() -> Path:
    """The host's static busybox.

    Raises:
        FileNotFoundError: it is not installed, or it needs libraries.
    """
    found = Path(shutil.which("busybox") or "/bin/busybox")
    if not found.exists() or needs_loader(found.read_bytes()):
        raise FileNotFoundError("no static busybox on this machine: apt-get install busybox-static")
    return found


def needs_loader(program: bytes) -> bool:
    """Whether an ELF program is not static.

    Source: elf(5). Program headers of a 64-bit file begin at offset 32's value; type 3 (PT_INTERP) names a loader.
    """
    (start,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    return any(struct.unpack_from("<I", program, start + size * n) == (3,) for n in range(count))


def busybox_tar() -> bytes:
    """A small system: busybox with its applets as links, three users, a home, /tmp."""
    program = busybox()
    applets = subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.split()
    tree = Tree()
    for name in ("bin", "etc", "home", "root", "proc", "sys", "dev", "var", "usr", "usr/bin"):
        tree.directory(name)
    tree.directory("tmp", mode=0o1777).directory("home/dev", owner=1000)
    tree.file("bin/busybox", program.read_bytes(), mode=0o755)
    for applet in sorted(set(applets) - {"busybox"}):
        tree.link(f"bin/{applet}", "busybox")
    tree.file("etc/passwd", PASSWD.encode()).file("etc/group", GROUP.encode())
    return tree.tar()


def scratch_tar() -> bytes:
    """One static program and nothing else: no shell, no directories."""
    return Tree().file("busybox", busybox().read_bytes(), mode=0o755).tar()
