"""An image with the programs that a Dockerfile, a feature and a user of a dev container expect; made without a network.

They are this machine's own, with the libraries that they name: bash, coreutils, useradd, git, ps. There is no package
manager, and `su` does not work.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from support.images import Tree

USERLAND = "wsmcp-test-userland:1"
DEV = 1000  # the user "dev"
PROGRAMS = (
    "bash sh cat ls id env sleep mkdir rm mv cp ln chmod chown touch printf test true false sed grep awk "
    "find xargs sort uniq head tail wc cut tr tee date uname stat readlink dirname basename getent useradd "
    "usermod groupadd groupmod tar gzip mktemp realpath whoami hostname timeout nohup kill ps git"
)
PASSWD = f"root:x:0:0:root:/root:/bin/bash\ndev:x:{DEV}:{DEV}:dev:/home/dev:/bin/bash\n"
GROUP = f"root:x:0:\ndev:x:{DEV}:\n"
NAMES = "passwd: files\ngroup: files\nhosts: files dns\n"


def userland_tar() -> bytes:
    """The root file system; about 20 MB, made in about a second."""
    tree = Tree()
    for name in ("usr", "usr/bin", "usr/sbin", "etc", "home", "root", "proc", "sys", "dev", "run", "var", "workspaces"):
        tree.directory(name)
    tree.directory("tmp", mode=0o1777).directory("var/tmp", mode=0o1777).directory("home/dev", owner=DEV)
    tree.link("bin", "usr/bin").link("sbin", "usr/sbin")
    found = {name: Path(path) for name in PROGRAMS.split() if (path := shutil.which(name))}
    for name, path in found.items():
        tree.file(f"usr/bin/{name}", path.read_bytes(), mode=0o755)
    directories = {"bin", "sbin"}
    for library in sorted(_libraries(tuple(found.values()))):
        _parents(tree, library, directories)
        tree.file(str(library).lstrip("/"), library.read_bytes(), mode=0o755)
    tree.file("etc/passwd", PASSWD.encode()).file("etc/group", GROUP.encode()).file("etc/nsswitch.conf", NAMES.encode())
    return tree.file("etc/os-release", Path("/etc/os-release").read_bytes()).tar()


def _parents(tree: Tree, path: Path, made: set[str]) -> None:
    for parent in reversed(path.parents[:-1]):
        name = str(parent).lstrip("/")
        if name not in made | {"usr"}:
            tree.directory(name)
            made.add(name)


def _libraries(programs: tuple[Path, ...]) -> set[Path]:
    """What they load, by the names that are looked for."""
    said = subprocess.run(("ldd", *map(str, programs)), capture_output=True, text=True, check=False).stdout
    return {Path(name) for name in re.findall(r"(?m)(?:=> |^\t)(/\S+) \(0x", said)}
