"""A dockerd of a test's own, which it may kill, stop for a while and start again, with live-restore or without.

It has a network namespace of its own: a second daemon beside the first one's bridge would take that away.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

START_S = 30.0


class PrivateEngine:
    """A dockerd at `url`; made by `open_private_engine`."""

    def __init__(self, directory: Path, network: int, *, has_live_restore: bool) -> None:
        self.url = f"unix://{directory}/docker.sock"
        self._flags = ("--live-restore",) if has_live_restore else ()
        self._directory = directory
        self._network = network
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        home = self._directory
        # Names a containerd that went with a killed dockerd; while that is a zombie a new one would wait for it.
        (home / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)
        argv = ("nsenter", f"--net=/proc/{self._network}/ns/net", "dockerd", *self._flags)
        roots = ("--data-root", f"{home}/data", "--exec-root", f"{home}/exec", "--pidfile", f"{home}/pid")
        with (home / "log").open("ab") as log:
            self._daemon = subprocess.Popen((*argv, *roots, "-H", self.url), stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while self._ask("version").returncode:
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"dockerd did not start: {(home / 'log').read_text()[-1000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait()

    def hang(self) -> None:
        """It takes connections and does nothing, until `go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """See `hang`."""
        self._signal(signal.SIGCONT)

    def kill_containerd(self) -> None:
        """End the containerd that it started for itself; it starts another one when it notices."""
        os.kill(self.containerd, signal.SIGKILL)

    @property
    def containerd(self) -> int:
        """The pid of its containerd."""
        return int((self._directory / "exec" / "containerd" / "containerd.pid").read_text())

    def await_containerd(self, former: int) -> None:
        """Wait until it has another containerd than the one with this pid, and answers."""
        deadline = time.monotonic() + START_S
        while self.containerd == former or self._ask("ps").returncode:
            assert time.monotonic() < deadline, "dockerd started no other containerd"
            time.sleep(0.1)

    def docker(self, *arguments: str) -> str:
        """Ask it by the docker CLI; what it says on stdout."""
        asked = self._ask(*arguments)
        assert not asked.returncode, asked.stderr.decode()
        return asked.stdout.decode()

    def kill_shim(self, container: str) -> None:
        """End the shim of a running container, which is the parent of its first process."""
        pid = self.docker("inspect", "--format", "{{.State.Pid}}", container)
        status = Path(f"/proc/{int(pid)}/status").read_text()
        os.kill(int(status.partition("PPid:")[2].split()[0]), signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        assert self._daemon is not None
        self._daemon.send_signal(number)

    def stop(self) -> None:
        """Remove its containers and end it."""
        if self._daemon is not None:
            self.go_on()  # a test that failed may have left it hanging
        containers = self._ask("ps", "--all", "--quiet").stdout.decode().split()
        if containers:
            self._ask("rm", "--force", "--volumes", *containers)
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(20)

    def load(self, image: str) -> None:
        """Bring an image of the default engine to this one."""
        saved = subprocess.run(("docker", "save", image), check=True, capture_output=True)
        subprocess.run(("docker", "-H", self.url, "load"), check=True, input=saved.stdout, capture_output=True)

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(("docker", "-H", self.url, *arguments), capture_output=True, check=False, timeout=60)


@contextmanager
def open_private_engine(image: str, *, has_live_restore: bool = True) -> Generator[PrivateEngine]:
    """A running engine that has `image`; it needs root and a dockerd on this machine."""
    if os.geteuid() != 0 or not shutil.which("dockerd") or not shutil.which("nsenter"):
        pytest.skip("an engine of its own needs root, dockerd and nsenter")
    directory = Path(tempfile.mkdtemp(prefix="wsmcp-engine-"))
    # Its end of a pipe keeps the namespace: it goes when this process does, however that ends.
    network = subprocess.Popen(("unshare", "--net", "sh", "-c", "ip link set lo up; exec cat"), stdin=subprocess.PIPE)
    engine = PrivateEngine(directory, network.pid, has_live_restore=has_live_restore)
    try:
        time.sleep(0.2)  # until the namespace is there; nothing tells
        engine.start()
        engine.load(image)
        yield engine
    finally:
        engine.stop()
        network.communicate()
        _end_below(directory)
        _unmount_below(directory)
        shutil.rmtree(directory, ignore_errors=True)


def _end_below(directory: Path) -> None:
    """End what is left where the daemon could not be stopped: its shims, and the containers below them."""
    for shim in _processes_with(str(directory).encode()):
        for task in Path(f"/proc/{shim}/task").glob("*/children"):
            for child in task.read_text().split():
                os.kill(int(child), signal.SIGKILL)
        os.kill(shim, signal.SIGKILL)


def _processes_with(word: bytes) -> list[int]:
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if word in line and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    return found


def _unmount_below(directory: Path) -> None:
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted((p for p in points if p.startswith(f"{directory}/")), reverse=True):
        subprocess.run(("umount", "--lazy", point), check=False)
