"""T16: what tiers 1 and 2 leave of a container, tried from inside by who wants out, and refused to who asks for more.

What a process sees of its fence is a table of its own, in tests/end_to_end/test_tiers.py.
"""

from __future__ import annotations

import json
import shlex
from typing import cast

import anyio
import pytest
from support.instances import Instance
from support.peers import Json, Peer
from support.tier_probe import output_of

# What succeeds prints HELD: all of these are refused, by the kernel or by what there is not.
ATTEMPTS: dict[str, str] = {
    "a mount": "mount -t tmpfs none /workspace",
    "a mount of its own files": "mount -o bind /workspace /.ws-mcp",
    "the fence written to": "mount -o remount,rw /sys",
    "a namespace": "unshare -m true",
    "another root": "unshare -m chroot /workspace true",
    "a disk": "mknod /workspace/disk b 7 0",
    "memory of the machine": "mknod /workspace/memory c 1 1",
    "kernel settings": "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "the kernel's keyboard": "echo h > /proc/sysrq-trigger",
    "the kernel's log": "dmesg | grep -q .",
    "the kernel's memory": "head -c 1 /proc/kcore | grep -q .",
    "timers of all": "head -c 1 /proc/timer_list | grep -q .",
    "the machine's name": "hostname another",
    "network devices": "ip link set lo down",
    "routes": "ip route add 192.0.2.0/24 dev lo",
    "more open files": "ulimit -n 8192",
    "a cgroup": "cd /sys/fs/cgroup; cd pids; mkdir own",
    "more memory": "cd /sys/fs/cgroup; f=memory.max; test -e $f || f=memory/memory.limit_in_bytes; echo 1G > $f",
    "the process daemon": "echo x > /.ws-mcp/execd",
    "more shared memory": "dd if=/dev/zero of=/dev/shm/x bs=1M count=80",
}
LOCKED: dict[str, str] = {
    "the system": "touch /bin/x || touch /etc/x || touch /x",
    "another owner": "touch /workspace/f && chown 1:1 /workspace/f",
    "another user": "su -c true || su -s /bin/sh nobody -c true",
    "a program in /tmp": "cp /bin/busybox /tmp/true && /tmp/true",
    "a larger /tmp": "dd if=/dev/zero of=/tmp/x bs=1M count=80",
    "a set-user-id program": "cd /workspace; cp /bin/busybox su && chmod 4755 su && ./su id -u | grep -qx 0",
    "a name on the network": "nslookup example.org 1.1.1.1",
    "an address on the network": "nc -w 1 1.1.1.1 53 </dev/null",
}
WISHES: tuple[tuple[int, Json], ...] = (
    *((tier, {"options": {"network": network}}) for tier in (1, 2) for network in ("host", "container:x", "bridge ")),
    *((tier, {"options": {name: value}}) for tier in (1, 2) for name, value in {
        "privileged": True,
        "cap_add": ["SYS_ADMIN"],
        "security_opt": ["seccomp=unconfined"],
        "devices": ["/dev/kmsg"],
        "pid_mode": "host",
        "restart_policy": "always",
        "memory_mib": 10**9,
        "cpus": 10**6,
        "mounts": {"/x": "/var/run/docker.sock"},
        "folder": "/",
    }.items()),
    (1, {"options": {"network": "own"}}),
    (1, {"options": {"network": "shared"}}),
    (1, {"ports": [8080]}),
)  # fmt: skip


async def held(peer: Peer, workspace: str, attempts: dict[str, str]) -> list[str]:
    """Which of these can be done."""
    lines = (
        f"sh -c {shlex.quote(line)} >/dev/null 2>&1 && echo HELD {shlex.quote(what)}" for what, line in attempts.items()
    )
    return (await output_of(peer, f"{'; '.join(lines)}; echo done", workspace)).splitlines()


@pytest.mark.parametrize("tier", [1, 2])
async def test_nothing_that_leads_out_can_be_done_inside(each_instance: Instance, tier: int) -> None:
    with anyio.fail_after(90):
        async with each_instance.open_peer() as peer:
            await peer.ok("provision_workspace", tier=tier)
            assert await held(peer, "main", {"it can be seen": "true"}) == ["HELD it can be seen", "done"]
            tried = ATTEMPTS | LOCKED if tier == 1 else ATTEMPTS
            assert await held(peer, "main", tried) == ["done"]
            assert await output_of(peer, "echo works") == "works"


def told(instance: Instance, container: str) -> Json:
    """What the engine says of how it runs a container."""
    return cast("Json", json.loads(instance.docker("inspect", "--format", "{{json .HostConfig}}", container)))


async def test_the_engine_was_told_what_the_row_says(each_instance: Instance) -> None:
    with anyio.fail_after(90):
        async with each_instance.open_peer() as peer:
            for tier, ports in ((1, {}), (2, {"ports": [8080]})):
                await peer.ok("provision_workspace", tier=tier, **ports)
                host = told(each_instance, each_instance.container)
                assert [host[name] for name in ("Privileged", "PublishAllPorts")] == [False, False]
                assert [name for name in ("CapAdd", "Devices", "VolumesFrom") if host.get(name)] == []
                # Podman lists volumes there as well, by their names: nothing is a path of the host.
                assert not [bind for bind in cast("list[str]", host.get("Binds") or []) if bind.startswith(("/", "."))]
                assert "host" not in {host[name] for name in ("NetworkMode", "PidMode", "IpcMode", "UTSMode")}
                assert "unconfined" not in json.dumps(host["SecurityOpt"])  # the engine's own seccomp filter
                assert cast("Json", host["RestartPolicy"])["Name"] in ("", "no")
                assert [bound["HostIp"] for bound in published(host)] == ["127.0.0.1"] * len(ports)
                if not each_instance.is_podman:  # which has no such logs
                    log = cast("Json", host["LogConfig"])
                    assert log == {"Type": "local", "Config": {"max-file": "3", "max-size": str(10 << 20)}}
                # The first process is one that waits for orphans, so that none of them stays as a zombie.
                orphan = "(sh -c 'true &' &) ; sleep 0.2; grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l"
                assert await output_of(peer, f"cat /proc/1/comm; {orphan}") == "execd\n0"


def published(host: Json) -> list[Json]:
    """Where the ports of a container are on this machine."""
    return [bound for bounds in cast("dict[str, list[Json]]", host["PortBindings"]).values() for bound in bounds]


async def test_more_than_the_tier_has_is_not_to_be_had_by_asking(instance: Instance) -> None:
    with anyio.fail_after(90):
        async with instance.open_peer() as peer:
            for tier, wish in WISHES:
                assert await peer.refused("provision_workspace", tier=tier, **wish), (tier, wish)
            assert (instance.containers, instance.networks, instance.volumes) == ([], [], [])
            assert (await peer.ok("provision_workspace", tier=1))["change"] == "created"
