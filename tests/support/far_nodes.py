"""A real sshd of this machine before the engine of a node, and an `ssh` that trusts it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.listening import free_port, wait_until_it_listens

# Whoever logs in speaks to the engine, whatever they ask for; here nobody can have an account on each node.
SSHD = """
ListenAddress 127.0.0.1
Port {port}
HostKey {home}/host
AuthorizedKeysFile {home}/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
ForceCommand exec env DOCKER_HOST={engine} docker system dial-stdio
"""
SSH = '#!/bin/sh\nexec {ssh} -F none -i {home}/user -o UserKnownHostsFile={home}/known "$@"\n'


def sshd_missing() -> str:
    """Why there can be none; "" when there can."""
    if os.geteuid() != 0:
        return "it needs root"
    return "" if shutil.which("sshd", path="/usr/sbin:/usr/bin") and shutil.which("ssh") else "there is no sshd"


@dataclass(frozen=True, slots=True, kw_only=True)
class FarNode:
    """Where the engine is reached, and what a server's environment needs for it."""

    endpoint: str
    environment: Mapping[str, str]


@contextmanager
def open_sshd(home: Path, engine: str) -> Generator[FarNode]:
    """An sshd before `engine` (unix://...), as long as the block lasts."""
    if reason := sshd_missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"no sshd: {reason}; here (CI=true) that is a failure", pytrace=False)
        pytest.skip(f"no sshd: {reason}")
    home.mkdir()
    for name in ("host", "user"):
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{home}/{name}"), check=True)
    port = free_port()
    (home / "sshd_config").write_text(SSHD.format(home=home, port=port, engine=engine))
    kind, key, *_ = (home / "host.pub").read_text().split()
    (home / "known").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    program = home / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(SSH.format(ssh=shutil.which("ssh"), home=home))
    program.chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)  # where it shuts its own processes in
    with (home / "log").open("wb") as log:
        daemon = subprocess.Popen(("/usr/sbin/sshd", "-D", "-e", "-f", f"{home}/sshd_config"), stdout=log, stderr=log)
    try:
        wait_until_it_listens(daemon, port, home / "log")
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        yield FarNode(endpoint=f"ssh://root@127.0.0.1:{port}", environment={"PATH": path})
    finally:
        daemon.terminate()
        daemon.wait()
