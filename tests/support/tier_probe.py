"""What a process inside a workspace sees of its fence, and what the engine says about the same, as plain values."""

from __future__ import annotations

import json
import os
from typing import cast

from support.instances import Instance
from support.peers import Json, Peer

Seen = dict[str, object]

RUNNABLE = (
    'for d in $(cut -d" " -f2 /proc/self/mounts); do test -d "$d" && cp /bin/busybox "$d/true" 2>/dev/null && '
    '"$d/true" 2>/dev/null && echo "$d"; rm -f "$d/true" 2>/dev/null; done; true'
)
# Each in the files of cgroup 2, then of cgroup 1.
LIMITS = {
    "memory": ("memory.max", "memory/memory.limit_in_bytes"),
    "pids": ("pids.max", "pids/pids.max"),
    "cpu": ("cpu.max", "cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us"),
}
READ = "cd /sys/fs/cgroup && { cat %s 2>/dev/null || cat %s; } | tr '\\n' ' '"


async def output_of(peer: Peer, command: str, workspace: str = "main") -> str:
    """All that a shell line inside writes."""
    return (await peer.read(await peer.start(command, workspace=workspace, wait_s=20), limit=30000)).output.strip()


async def status_of(peer: Peer, workspace: str) -> Seen:
    """Who a process is, and what the kernel lets it do."""
    lines = (await output_of(peer, "cat /proc/self/status", workspace)).splitlines()
    said = {name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)}
    sets = [int(said[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")]
    return {
        "users": set(said["Uid"].split()),
        # The ambient and inherited ones are none anywhere: a program cannot get more than its user has.
        "capabilities": sets[0] if sets.count(sets[0]) == 3 else sets,
        "ambient": int(said["CapAmb"], 16),
        "no_new_privileges": said["NoNewPrivs"],
        "seccomp": said["Seccomp"],
    }


async def surroundings_of(peer: Peer, workspace: str) -> Seen:
    """What is mounted how, which networks there are, whose processes are in sight."""
    lines = (await output_of(peer, "cat /proc/self/mounts", workspace)).splitlines()
    mounts = {target: set(options.split(",")) for _, target, _, options in (line.split()[:4] for line in lines)}
    devices = await output_of(peer, "cat /proc/net/dev", workspace)
    routes = await output_of(peer, "cat /proc/net/route", workspace)
    return {
        **{name: "ro" if "ro" in mounts[name] else "rw" for name in ("/", "/sys", "/.ws-mcp", "/workspace")},
        "/proc/sys": "ro" if "ro" in mounts.get("/proc/sys", {"rw"}) else "rw",
        "shm": next(option for option in mounts["/dev/shm"] if option.startswith("size")),
        "tmp": mounts.get("/tmp", set()) & {"noexec", "nosuid", "nodev", "size=65536k"},
        "interfaces": {line.split(":")[0].strip() for line in devices.splitlines() if ":" in line},
        "has_route": len(routes.splitlines()) > 1,
        "sees_host": await output_of(peer, f"grep -c python /proc/{os.getpid()}/cmdline", workspace) == "1",
        "has_engine": await output_of(peer, "test -S /var/run/docker.sock && echo yes", workspace) == "yes",
        "has_disks": "loop" in await output_of(peer, "ls /dev", workspace),
        "nofile": await output_of(peer, "ulimit -n", workspace),
    }


async def limits_of(peer: Peer, workspace: str) -> Seen:
    """What its cgroup says, as the files inside show it."""
    said = {name: await output_of(peer, READ % files, workspace) for name, files in LIMITS.items()}
    quota, period = said["cpu"].split()
    return {"memory": int(said["memory"]), "pids": int(said["pids"]), "cpus": int(quota) / int(period)}


def told_limits(instance: Instance, container: str) -> Seen:
    """The same as the engine says it, with the swap that comes on top."""
    host = cast("Json", json.loads(instance.docker("inspect", "--format", "{{json .HostConfig}}", container)))
    memory, swap, pids = (int(str(host[name])) for name in ("Memory", "MemorySwap", "PidsLimit"))
    return {"memory": memory, "swap": swap - memory, "pids": pids, "cpus": int(str(host["NanoCpus"])) / 1e9}
