"""A swarm of real engines on this machine: three by default, each as if it had a machine of its own.

A *keeper* holds a network that nobody else is on, memory for the nodes' data, and a process namespace. A node is a
process namespace in that one, with a network, a host name and mounts of its own; its engine's data outlives it. The
keeper and each node end when our end of a pipe closes, and the kernel then ends what runs in them and forgets their
mounts and networks: so nothing is left of a failed test, nor of a killed run. What such a run leaves on the disk
(logs, sockets, empty control groups) goes with the next one.

The calls block: an async test makes them in a worker thread.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.images import BUSYBOX, busybox_tar

PREFIX = "wsmcp-swarm-"
WAIT_S = 120.0  # for anything, on a busy machine; two to twenty seconds otherwise
HEARTBEAT = "2s"  # of nodes; after three without one the managers say "down" (Swarm's default is 5 s)
SERVER = "server"  # what `cut` calls the network that the tests run in
PROGRAMS = ("busybox", "docker", "dockerd", "ip", "iptables", "nsenter", "unshare")
CGROUPS = Path("/sys/fs/cgroup")
ALLOWED = "WS_MCP_ALLOW_NO_SWARM"  # with CI=true: a machine that cannot have a swarm is no failure

IN_NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
# What comes after `trap` has the kernel reap every child that it is given; `cat` ends when the pipe does.
KEEP = """
set -e
mount -t tmpfs tmpfs "$1/data"
if [ -d /run/containerd ]; then mount -t tmpfs tmpfs /run/containerd; fi
ip link set lo up
ip link add name nodes type bridge
ip link set nodes up
trap '' CHLD
echo ready
exec cat
"""
RUN_NODE = """
set -e
home=$1
shift
hostname "$(basename "$home")"
mount -t tmpfs tmpfs "$home/exec"
ip link set lo up
trap '' CHLD
echo ready
read _
env --default-signal=CHLD dockerd "$@" >>"$home/log" 2>&1 </dev/null &
exec cat
"""
PROBE = """
set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/l /mnt/u /mnt/w /mnt/o
mount -t overlay overlay -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w /mnt/o
ip link add name bridge0 type bridge
ip link add name one type veth peer name two
ip link add name over type vxlan id 4097 dstport 4789
iptables -t nat -L -n >/dev/null
"""


@functools.cache
def swarm_missing() -> str:
    """Why there cannot be a swarm here; "" when there can."""
    if os.geteuid() != 0:
        return "it needs root"
    if lacking := [program for program in PROGRAMS if not shutil.which(program)]:
        return f"there is no {', '.join(lacking)} on this machine"
    tried = subprocess.run((*IN_NAMESPACES, "sh", "-c", PROBE), capture_output=True, text=True, check=False)
    return f"the kernel does not allow it: {tried.stderr.strip()[-200:]}" if tried.returncode else ""


@dataclass(kw_only=True)
class SwarmEngine:
    """One node of the swarm; `init` is the process that it lives and dies with."""

    hostname: str
    address: str
    home: Path
    init: int = 0
    process: subprocess.Popen[bytes] | None = None
    cut_from: set[str] = field(default_factory=set[str])

    @property
    def url(self) -> str:
        """Its engine's socket, which no cut concerns."""
        return f"unix://{self.home}/docker.sock"

    @property
    def tcp(self) -> str:
        """Its engine over the network, in plain text; out of reach while it is cut from the server."""
        return f"tcp://{self.address}:2375"

    def docker(self, *arguments: str, content: bytes | None = None) -> str:
        """What the docker command line says of this engine.

        Raises:
            subprocess.CalledProcessError
        """
        argv = ("docker", "-H", self.url, *arguments)
        return subprocess.run(argv, input=content, capture_output=True, check=True, timeout=60).stdout.decode().strip()

    def says(self, *arguments: str) -> str:
        """The same; "" when it fails."""
        try:
            return self.docker(*arguments)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return ""


class SwarmGround:
    """The swarm; made by `open_swarm`. Its nodes are node-1, node-2 ..., the first one makes it."""

    def __init__(self, count: int, managers: int) -> None:
        self.home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.name = self.home.name
        number = int.from_bytes(os.urandom(2)) % 512
        self._subnet = f"198.{18 + number // 256}.{number % 256}"
        self._managers = managers
        self._keeper: subprocess.Popen[bytes] | None = None
        self._keeper_init = 0
        self.nodes = tuple(
            SwarmEngine(hostname=f"node-{n}", address=f"{self._subnet}.{n}", home=self.home / f"node-{n}")
            for n in range(1, count + 1)
        )

    @property
    def server_address(self) -> str:
        """Where the nodes see the tests come from."""
        return f"{self._subnet}.254"

    def node(self, hostname: str) -> SwarmEngine:
        """One of the nodes."""
        return next(node for node in self.nodes if node.hostname == hostname)

    def open(self) -> None:
        """Make the network, start the engines, and join them."""
        (self.home / "data").mkdir()
        self._keeper = _begun((*IN_NAMESPACES, "sh", "-c", KEEP, "sh", str(self.home)))
        self._keeper_init = _innermost(self._keeper.pid)
        self._plug(os.getpid(), f"ws{self._subnet.replace('.', '')}", self.server_address)
        _side_by_side([functools.partial(self.start, node.hostname) for node in self.nodes])
        self._join()
        self._share(BUSYBOX, busybox_tar())
        self.wait_ready()

    def close(self) -> None:
        """End everything at once: what is in the keeper's process namespace ends with it."""
        for process in (self._keeper, *(node.process for node in self.nodes)):
            if process is not None:
                _ended(process)
        shutil.rmtree(self.home, ignore_errors=True)
        _remove_cgroups(self.name)

    def start(self, hostname: str) -> None:
        """Switch a node on, and wait until its engine answers; its data is what it was."""
        node = self.node(hostname)
        (node.home / "exec").mkdir(parents=True, exist_ok=True)
        into = ("nsenter", f"--target={self._keeper_init}", "--mount", "--pid", *IN_NAMESPACES, "--uts")
        node.process = _begun((*into, "sh", "-c", RUN_NODE, "sh", str(node.home), *self._options(node)))
        node.init = _innermost(node.process.pid)
        self._plug(node.init, "eth0", node.address)
        for peer in node.cut_from:
            self._route("add", node, peer)
        assert node.process.stdin is not None
        node.process.stdin.write(b"go\n")
        node.process.stdin.flush()
        self._until(f"the engine of {hostname}", lambda: bool(node.says("version")), node)

    def kill(self, hostname: str) -> None:
        """End a node as a power cut would: its engine, its containers, everything, at once."""
        node = self.node(hostname)
        if node.process is not None:
            _ended(node.process)
            node.process = None

    def cut(self, hostname: str, *peers: str) -> None:
        """Take a node's network to `peers` away (host names, "server"); to all other nodes when none is named.

        Nothing is refused: packets are lost, so that whoever asks waits.
        """
        node = self.node(hostname)
        for peer in peers or tuple(other.hostname for other in self.nodes if other is not node):
            if peer not in node.cut_from:
                node.cut_from.add(peer)
                self._route("add", node, peer)

    def heal(self, hostname: str) -> None:
        """Give it back."""
        node = self.node(hostname)
        for peer in node.cut_from:
            if node.process is not None:
                self._route("del", node, peer)
        node.cut_from.clear()

    def mend(self) -> None:
        """Undo what a test did to the machines: all run, all reach each other, all are active and ready."""
        for node in self.nodes:
            self.heal(node.hostname)
        _side_by_side([functools.partial(self.start, n.hostname) for n in self.nodes if n.process is None])
        self._until("all nodes to be active", self._are_active)
        self.wait_ready()

    def states(self) -> Mapping[str, str]:
        """What the managers say of each node, by its host name; nothing while they cannot be asked."""
        for node in self.nodes:
            if node.process is None:
                continue
            said = node.says("node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}")
            if "Leader" in said:
                return {line.split()[0]: line.split()[1].lower() for line in said.splitlines()}
        return {}

    def wait_state(self, hostname: str, state: str) -> None:
        """Wait until the managers say that a node is "ready" or "down"."""
        self._until(f"{hostname} to be {state}", lambda: self.states().get(hostname) == state)

    def wait_ready(self) -> None:
        """Wait until the managers say that all nodes are ready."""
        everybody = {node.hostname: "ready" for node in self.nodes}
        self._until("all nodes to be ready", lambda: self.states() == everybody)

    def wait_leader(self) -> SwarmEngine:
        """Wait until the managers have a leader that answers as such; returns it."""
        found: list[SwarmEngine] = []

        def leads() -> bool:
            # One that was cut off takes some seconds to see that it leads nobody.
            running = sorted((n for n in self.nodes if n.process is not None), key=lambda node: len(node.cut_from))
            found.extend(n for n in running if "true Leader" in n.says("node", "ls", "--format", _LEADS))
            return bool(found)

        self._until("a leader", leads)
        return found[0]

    def id_of(self, hostname: str) -> str:
        """What the swarm calls a node."""
        return self.node(hostname).docker("info", "--format", "{{.Swarm.NodeID}}")

    def share(self, image: str) -> None:
        """Bring an image of the first node to all others: so it has the same id everywhere."""
        first, *others = self.nodes
        saved = subprocess.run(("docker", "-H", first.url, "save", image), check=True, capture_output=True).stdout
        _side_by_side([functools.partial(node.docker, "load", content=saved) for node in others])

    def _are_active(self) -> bool:
        leader = self.wait_leader()
        said = leader.says("node", "ls", "--format", "{{.ID}} {{.Availability}}").split()
        asleep = [node for node, availability in zip(said[::2], said[1::2], strict=True) if availability != "Active"]
        for node in asleep:
            leader.says("node", "update", "--availability", "active", node)
        return bool(said) and not asleep

    def _share(self, image: str, tar: bytes) -> None:
        self.nodes[0].docker("import", "--change", 'CMD ["sh"]', "-", image, content=tar)
        self.share(image)

    def _join(self) -> None:
        first, *others = self.nodes
        first.docker("swarm", "init", "--advertise-addr", first.address, "--dispatcher-heartbeat", HEARTBEAT)
        tokens = {role: first.docker("swarm", "join-token", "--quiet", role) for role in ("manager", "worker")}
        # One after the other: managers that join at once may lose each other's majority.
        for number, node in enumerate(others, 2):
            token = tokens["manager" if number <= self._managers else "worker"]
            node.docker("swarm", "join", "--advertise-addr", node.address, "--token", token, f"{first.address}:2377")

    def _options(self, node: SwarmEngine) -> tuple[str, ...]:
        (self.home / "daemon.json").write_text("{}")
        roots = ("--data-root", f"{self.home}/data/{node.hostname}", "--exec-root", f"{node.home}/exec")
        files = ("--config-file", f"{self.home}/daemon.json", "--pidfile", f"{node.home}/exec/pid", "--group", "root")
        # Newer engines want to hear that the open door is meant.
        doors = ("--host", node.url, "--host", node.tcp, "--tls=false")
        groups = ("--cgroup-parent", f"/{self.name}/{node.hostname}", "--exec-opt", "native.cgroupdriver=cgroupfs")
        return (*roots, *files, *doors, *groups, "--shutdown-timeout", "1")

    def _plug(self, process: int, interface: str, address: str) -> None:
        """Join the network namespace of a process to that of the nodes."""
        port = f"p{address.rpartition('.')[2]}"
        here = ("nsenter", f"--net=/proc/{self._keeper_init}/ns/net", "ip", "link")
        _ran(*here, "add", "name", port, "type", "veth", "peer", "name", interface, "netns", str(process))
        _ran(*here, "set", port, "master", "nodes", "up")
        there = ("nsenter", f"--net=/proc/{process}/ns/net", "ip")
        _ran(*there, "address", "add", f"{address}/24", "dev", interface)
        _ran(*there, "link", "set", interface, "up")

    def _route(self, what: str, node: SwarmEngine, peer: str) -> None:
        address = self.server_address if peer == SERVER else self.node(peer).address
        _ran("nsenter", f"--net=/proc/{node.init}/ns/net", "ip", "route", what, "blackhole", f"{address}/32")

    def _until(self, what: str, is_so: Callable[[], bool], node: SwarmEngine | None = None) -> None:
        deadline = time.monotonic() + WAIT_S
        while not is_so():
            if time.monotonic() > deadline:
                tails = [f"{n.hostname}: {_tail(n.home / 'log')}" for n in ([node] if node else self.nodes)]
                raise AssertionError(f"waited {WAIT_S} s for {what}: {self.states()}\n" + "\n".join(tails))
            time.sleep(0.1)


_LEADS = "{{.Self}} {{.ManagerStatus}}"


@contextmanager
def open_swarm(count: int = 3, managers: int = 3) -> Generator[SwarmGround]:
    """A swarm of `count` nodes, all of which have the image `BUSYBOX`; about ten seconds.

    Where it cannot be the test is skipped, and fails with CI=true unless WS_MCP_ALLOW_NO_SWARM=1.
    """
    if reason := swarm_missing():
        if os.environ.get("CI") == "true" and os.environ.get(ALLOWED) != "1":
            pytest.fail(f"no swarm: {reason}; here (CI=true, without {ALLOWED}=1) that is a failure", pytrace=False)
        pytest.skip(f"no swarm: {reason}")
    _sweep()
    ground = SwarmGround(count, managers)
    try:
        ground.open()
        yield ground
    finally:
        ground.close()


def _begun(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process that keeps namespaces until its stdin is closed; returns when they are there."""
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    if process.stdout.readline() != b"ready\n":
        process.wait(WAIT_S)
        raise AssertionError(f"{argv[0]} ended with {process.returncode}")
    return process


def _ended(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.wait(WAIT_S)
    process.stdout.close()


def _innermost(process: int) -> int:
    """The first process of the innermost namespace, which `unshare` and `nsenter` wait for."""
    while children := Path(f"/proc/{process}/task/{process}/children").read_text().split():
        process = int(children[0])
    return process


def _ran(*argv: str) -> None:
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{' '.join(argv)}: {ran.stderr}"


def _side_by_side(acts: Sequence[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(max(len(acts), 1)) as threads:
        for done in [threads.submit(act) for act in acts]:
            done.result()


def _tail(log: Path) -> str:
    return log.read_text()[-2000:] if log.exists() else "no log"


def _sweep() -> None:
    """Remove what killed runs left on the disk."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if not Path(f"/proc/{path.name.removeprefix(PREFIX).partition('-')[0]}").exists():
            shutil.rmtree(path, ignore_errors=True)
            _remove_cgroups(path.name)


def _remove_cgroups(name: str) -> None:
    for root in (*CGROUPS.glob(name), *CGROUPS.glob(f"*/{name}")):
        for directory, _, _ in os.walk(root, topdown=False):
            try:
                Path(directory).rmdir()
            except OSError:
                continue
