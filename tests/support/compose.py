"""Compose for the tests: the one of this machine, else Debian's package, unpacked into this user's cache.

`python -m support.compose` does just that. CI runs it before its tests, which have no way to a mirror where they run
beside a private engine. Nothing is installed: apt reads lists of its own, of the mirror that the machine uses anyway.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "2"  # of compose; it names the folder in the cache
SUITE = "trixie"  # Debian 12 has compose 1 only
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PLUGIN = "usr/libexec/docker/cli-plugins/docker-compose"
APT = """\
Dir::Etc::sourcelist "{0}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "{0}/lists";
Dir::Cache "{0}/cache";
APT::Sandbox::User "root";
"""


class ComposeMissingError(Exception):
    """It is not there and cannot be had; the text says what to do."""


def compose_config() -> str:
    """DOCKER_CONFIG with which `docker compose` works, "" when it does so anyway.

    Raises:
        ComposeMissingError
    """
    if _run("docker", "compose", "version").returncode == 0:
        return ""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ws-mcp-tests" / f"compose-{VERSION}"
    if not home.exists():
        _fetch(home)
    return str(home)


def _fetch(home: Path) -> None:
    missing = [name for name in ("apt-get", "dpkg-deb", "tar") if shutil.which(name) is None]
    mirror = next(iter(re.findall(r"(?m)^\S+/debian/?$", _said("apt-get", "indextargets", "--format", "$(SITE)"))), "")
    if missing or not mirror:
        raise ComposeMissingError("the tests of compose need `docker compose`: install Docker's compose plugin")
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as directory:
        work = Path(directory)
        for name in ("lists/partial", "cache/archives/partial", "new/cli-plugins"):
            (work / name).mkdir(parents=True)
        (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror} {SUITE} main\n")
        (work / "apt.conf").write_text(APT.format(work))
        environment = {**os.environ, "APT_CONFIG": str(work / "apt.conf")}
        for step in (("apt-get", "update", "-qq"), ("apt-get", "download", "-qq", "docker-compose")):
            done = _run(*step, cwd=work, environment=environment)
            if done.returncode:
                raise ComposeMissingError(f"compose could not be fetched: {done.stderr.strip()[-300:]}")
        (package,) = work.glob("docker-compose_*.deb")
        _run("dpkg-deb", "--extract", str(package), str(work / "root"))
        shutil.move(work / "root" / PLUGIN, work / "new" / "cli-plugins" / "docker-compose")
        if not home.exists():
            (work / "new").rename(home)


def _said(*argv: str) -> str:
    return _run(*argv).stdout if shutil.which(argv[0]) else ""


def _run(
    *argv: str, cwd: Path | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    except OSError as error:
        return subprocess.CompletedProcess(argv, 127, "", str(error))


if __name__ == "__main__":
    try:
        print(compose_config() or "docker compose is there")
    except ComposeMissingError as error:
        sys.exit(str(error))
