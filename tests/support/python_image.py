"""An image with Python and pip, made of this machine's: what `python:3-slim` is where there is a registry."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path

from support.docker_cli import BOUND_S, docker
from support.images import GROUP, PASSWD, busybox

PYTHON = "wsmcp-test-python:" + ".".join(map(str, sys.version_info[:3])) + "-1"  # the last: of what is made here
LEFT_OUT = {
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "ensurepip",
    "site-packages",
    "dist-packages",
}
MODULES_LEFT_OUT = ("_tkinter", "_test", "_curses", "readline", "nis", "_dbm", "_gdbm")
# Source: PEP 599; wheels of others may count on these.
PROMISED = (
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "librt.so.1",
    "libdl.so.2",
    "libpthread.so.0",
    "libutil.so.1",
    "libm.so.6",
)
NAME = f"python{sys.version_info[0]}.{sys.version_info[1]}"


def make_python_image() -> str:
    """Make it, unless the engine has it; returns its name."""
    if not docker("images", "--quiet", PYTHON).strip():
        command = ("docker", "import", "--change", "ENV PATH=/usr/local/bin:/usr/bin:/bin", "-", PYTHON)
        subprocess.run(command, input=_tar(), check=True, capture_output=True, timeout=BOUND_S)
    return PYTHON


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("proc", "sys", "dev", "root", "etc", "var", "var/lib", "run", "opt", "tmp"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(entry)
        for name, text in (("etc/passwd", PASSWD), ("etc/group", GROUP)):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
        for source, name in _files():
            # With their times, since compiled modules are good for those only.
            archive.add(source, name, recursive=False, filter=_as_root)
        for link, target in _links():
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return buffer.getvalue()


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    return entry


def _files() -> Iterator[tuple[Path, str]]:
    program = Path(sys.executable).resolve()
    library = Path(sysconfig.get_paths()["stdlib"])
    pip = Path(sysconfig.get_paths()["purelib"]) / "pip"
    modules = [path for path in sorted(library.rglob("*")) if _is_wanted(path, path.relative_to(library))]
    yield busybox(), "bin/busybox"
    yield program, f"usr/local/bin/{NAME}"
    yield from ((path, f"usr/local/lib/{NAME}/{path.relative_to(library)}") for path in modules)
    for path in sorted(pip.rglob("*.py")):
        yield path, f"usr/local/lib/{NAME}/site-packages/pip/{path.relative_to(pip)}"
    # What is loaded besides: at the very places where it is here.
    for shared in sorted(_libraries([program, *(path for path in modules if path.suffix == ".so")])):
        yield Path(shared).resolve(), shared.removeprefix("/")


def _is_wanted(path: Path, inside: Path) -> bool:
    is_left_out = LEFT_OUT & set(inside.parts) or inside.parts[0].startswith("config-")
    return (
        path.is_file() and not is_left_out and not path.name.startswith(MODULES_LEFT_OUT) and ".opt-" not in path.name
    )


def _libraries(programs: list[Path]) -> set[str]:
    said = subprocess.run(("ldd", *map(str, programs)), capture_output=True, text=True, check=False).stdout
    known = subprocess.run(("/sbin/ldconfig", "-p"), capture_output=True, text=True, check=True).stdout
    places = dict(re.findall(r"^\s+(\S+) \(.*\) => (/\S+)", known, re.MULTILINE))
    promised = {places[name] for name in PROMISED if name in places}
    return {*re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.MULTILINE), *promised}


def _links() -> Iterator[tuple[str, str]]:
    applets = subprocess.run((busybox(), "--list"), check=True, capture_output=True, text=True).stdout.split()
    yield from ((f"bin/{applet}", "busybox") for applet in sorted(set(applets) - {"busybox"}))
    yield from ((f"usr/local/bin/{name}", NAME) for name in ("python3", "python"))
