"""What a local place is given of this machine: as the first process of a bubblewrap sandbox, or plainly.

The sandbox sees the system read-only, its own /tmp, its workspace, and nothing of anybody's home. It is weaker than a
container: the kernel user is shared and there is no limit on memory.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ws_mcp.core.errors import StateError
from ws_mcp.core.ids import PlaceId

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt")
# Chosen one by one: /etc as a whole would show /etc/shadow to a sandbox that runs as root.
ETC = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "group", "hosts", "host.conf", "java", "ld.so.cache",
    "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "nsswitch.conf", "os-release", "passwd", "pki",
    "protocols", "python3", "resolv.conf", "services", "ssl", "timezone",
)  # fmt: skip
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACES = ("--unshare-pid", "--unshare-uts", "--unshare-ipc", "--unshare-cgroup-try")
OWN_FILES = ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")  # noqa: S108 - the sandbox's own
TRIAL = ("--ro-bind", "/", "/", *NAMESPACES, "--unshare-net", *OWN_FILES, "true")  # what must work for all the rest to
KEPT_ENVIRONMENT = ("LANG", "LC_ALL", "TZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPlace:
    """A place on this machine. Of its directories the sandbox sees `data` and `sockets`, never `home`."""

    place: PlaceId
    home: Path  # ours alone: the record, the log, what bubblewrap is told
    sockets: Path
    has_network: bool = False
    keep_ended: int = 100

    @property
    def data(self) -> Path:
        """The workspace's files."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """What execd and bubblewrap say when they cannot start."""
        return self.home / "execd.log"

    @property
    def arguments(self) -> Path:
        """What bubblewrap is told, NUL-separated: in a file, since arguments are seen by everybody on the machine."""
        return self.home / "bubblewrap.arguments"

    @property
    def pid(self) -> Path:
        """The process that was started, and when, as the system counts."""
        return self.home / "pid"


def has_bubblewrap() -> bool:
    """Whether bubblewrap is installed."""
    return shutil.which("bwrap") is not None


def socket_root() -> Path:
    """A short path (a socket's name has at most 104 bytes), private to this user.

    Raises:
        StateError: somebody else made it.
    """
    base = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp")  # noqa: S108 - checked below
    root = base / f"ws-mcp-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StateError("the directory for local sockets in shared memory belongs to somebody else; remove it")
    return root


def host_environment() -> dict[str, str]:
    """The only variables of this server that reach a local process: a list of what may, not of what may not."""
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    return {"PATH": PATH, "TERM": "dumb", **kept}


def plain_argv(place: LocalPlace, program: Path) -> list[str]:
    """Without a sandbox."""
    return [str(program), *_serve(str(place.sockets), place)]


def sandbox_argv(place: LocalPlace) -> list[str]:
    """With bubblewrap, which reads the rest from descriptor 9."""
    bubblewrap = shutil.which("bwrap") or "bwrap"
    return [bubblewrap, "--args", "9", "--", "/.ws-mcp/execd", *_serve("/run/ws-mcp", place)]


def sandbox_arguments(place: LocalPlace, program: Path, environment: Mapping[str, str]) -> list[str]:
    """What the sandbox is made of. `environment` reaches only what runs inside, never bubblewrap itself."""
    arguments: list[str] = [*NAMESPACES]
    if not place.has_network:
        arguments.append("--unshare-net")
    for path in SYSTEM:
        arguments += ["--ro-bind-try", path, path]
    for name in ETC:
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    arguments += [*OWN_FILES, "--bind", str(place.data), "/workspace"]
    arguments += ["--bind", str(place.sockets), "/run/ws-mcp", "--ro-bind", str(program), "/.ws-mcp/execd"]
    arguments += [
        "--chdir",
        "/workspace",
        "--new-session",
        "--cap-drop",
        "ALL",
        "--as-pid-1",
        "--hostname",
        "workspace",
    ]
    arguments.append("--clearenv")
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    return arguments


def _serve(directory: str, place: LocalPlace) -> list[str]:
    return ["serve", "--dir", directory, "--place", place.place, "--keep-ended", str(place.keep_ended)]
