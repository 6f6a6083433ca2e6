"""What a tier promises, seen from inside the container and from this machine."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import cast

import anyio
import anyio.to_thread
import pytest
from support.docker_cli import docker
from support.instances import IMAGE, Instance
from support.peers import Json, Peer, open_peer, text_of
from support.real_engine import EngineGround
from support.tier_probe import RUNNABLE, Seen, limits_of, output_of, status_of, surroundings_of, told_limits

from ws_mcp.core.workspaces.naming import WORKSPACE

WITH_USER = "wsmcp-test-user:1"
LAST_CAPABILITY = int(Path("/proc/sys/kernel/cap_last_cap").read_text())

MIB, CPUS = 1 << 20, os.cpu_count() or 1  # an engine gives no more than there are
# CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, SYS_CHROOT
FEW = 0x405FB
LOCKED: Seen = {
    "users": {"65532"},
    "capabilities": 0,
    "ambient": 0,
    "no_new_privileges": "1",
    "seccomp": "2",
    "/": "ro",
    "/sys": "ro",
    "/proc/sys": "ro",
    "/.ws-mcp": "ro",
    "/workspace": "rw",
    "shm": "size=65536k",
    "tmp": {"noexec", "nosuid", "nodev", "size=65536k"},
    "interfaces": {"lo"},
    "has_route": False,
    "sees_host": False,
    "has_engine": False,
    "has_disks": False,
    "nofile": "4096",
}
USUAL: Seen = {
    **LOCKED,
    "users": {"0"},
    "capabilities": FEW,
    "/": "rw",
    "tmp": set(),
    "interfaces": {"lo", "eth0"},
    "has_route": True,
}
OF_HOST: Seen = {
    **USUAL,
    "capabilities": int(Path("/proc/self/status").read_text().partition("CapBnd:")[2].split()[0], 16),
    "no_new_privileges": "0",
    "seccomp": "0",
    "/sys": "rw",
    "/proc/sys": "rw",
    "sees_host": True,
    "has_disks": True,
}
SEEN: dict[int, Seen] = {1: LOCKED, 2: USUAL, 3: OF_HOST, 4: {**OF_HOST, "has_engine": True}}
LIMITS: dict[int, Seen] = {
    1: {"memory": 256 * MIB, "pids": 64, "cpus": 0.5},
    2: {"memory": 512 * MIB, "pids": 256, "cpus": 1.0},
    3: {"memory": 2048 * MIB, "pids": 1024, "cpus": min(2.0, CPUS)},
    4: {"memory": 4096 * MIB, "pids": 4096, "cpus": min(4.0, CPUS)},
}


async def check_tier(instance: Instance, peer: Peer, tier: int) -> None:
    """That a workspace is as the table says, by what is inside, by the engine, and by our own view."""
    name, expected = f"tier-{tier}", SEEN[tier]
    if tier == 4:
        expected = {**expected, "interfaces": {each for _, each in socket.if_nameindex()}}
    assert {**await status_of(peer, name), **await surroundings_of(peer, name)} == expected
    if tier <= 2:  # a privileged one may see the whole machine's
        assert await limits_of(peer, name) == LIMITS[tier]
    having = f"label={WORKSPACE}={name}"
    (container,) = instance.docker("ps", "--filter", having, "--format", "{{.Names}}").split()
    assert told_limits(instance, container) == {**LIMITS[tier], "swap": 0}
    assert (await peer.workspaces())[name]["tier"] == tier
    assert (await peer.ok("provision_workspace", name=name))["change"] == "none"


async def test_a_process_sees_of_its_fence_what_the_table_of_tiers_says(each_instance: Instance) -> None:
    with anyio.fail_after(90):
        async with each_instance.open_peer() as peer:
            for tier in (1, 2):
                await peer.ok("provision_workspace", name=f"tier-{tier}", tier=tier)
                await check_tier(each_instance, peer, tier)
            # Programs run from the workspace, and from no other place that can be written.
            assert await output_of(peer, RUNNABLE, "tier-1") == "/workspace"
            assert await output_of(peer, "echo x 2>/dev/null > /file || echo refused", "tier-1") == "refused"


async def test_tiers_3_and_4_are_what_they_say_or_the_engine_cannot_do_it_and_that_is_said(
    each_instance: Instance,
) -> None:
    with anyio.fail_after(90):
        async with each_instance.open_peer("--max-tier", "4") as peer:
            for tier in (3, 4):
                result = await peer.call("provision_workspace", name=f"tier-{tier}", tier=tier)
                if not result.is_error:
                    await check_tier(each_instance, peer, tier)
                    continue
                # Docker gives all capabilities or none, and some machines have not all.
                assert OF_HOST["capabilities"] != (1 << LAST_CAPABILITY + 1) - 1
                assert not each_instance.is_podman
                assert "use tier 2" in text_of(result)
                assert "all capabilities" in text_of(result)
                assert each_instance.containers == []
                assert each_instance.networks == []


async def test_tiers_that_were_not_granted_are_refused_before_the_engine_is_asked(
    tmp_path: Path, real_io: None
) -> None:
    with anyio.fail_after(75):
        async with open_peer(tmp_path / "state", "--engine", f"unix://{tmp_path}/nobody.sock") as peer:
            for tier in (3, 4):
                refusal = await peer.refused("provision_workspace", kind="container", image="any:1", tier=tier)
                assert f"tier {tier} is not granted here" in refusal
            for tier in (5, 9):
                refusal = await peer.refused("provision_workspace", kind="container", image="any:1", tier=tier)
                assert f"tier {tier} does not exist" in refusal
            assert "greater than or equal to 1" in await peer.refused("provision_workspace", image="any:1", tier=-1)
            refusal = await peer.refused("provision_workspace", kind="container", image="any:1", tier=2)
            assert "engine" in refusal


async def test_a_workspace_of_a_tier_that_is_no_longer_granted_is_not_provisioned_again(
    instance: Instance,
) -> None:
    with anyio.fail_after(90):
        async with instance.open_peer("--max-tier", "2") as peer:
            await peer.ok("provision_workspace", tier=2)
        async with instance.open_peer("--max-tier", "1") as peer:
            assert "tier 2 is not granted" in await peer.refused("provision_workspace")
            assert "tier 2 is not granted" in await peer.refused("provision_workspace", env={"A": "b"})
            assert (await peer.ok("provision_workspace", tier=1))["change"] == "recreated"
            assert (await status_of(peer, "main"))["capabilities"] == 0


async def test_a_published_port_answers_on_this_machine(instance: Instance) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as peer:
            made = await peer.ok("provision_workspace", ports=[8080])
            (port,) = cast("list[Json]", cast("Json", made["workspace"])["ports"])
            serve = "echo hello > index.html; exec httpd -f -p 8080 -h /workspace"
            await peer.start(serve, wait_s=0)
            assert str(port["url"]).startswith("http://127.0.0.1:")
            assert await anyio.to_thread.run_sync(_fetched, f"{port['url']}/index.html") == b"hello\n"


@pytest.mark.slow
async def test_where_memory_runs_out_a_process_is_killed_and_the_workspace_lives(instance: Instance) -> None:
    with anyio.fail_after(120):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace", tier=1)  # 256 MiB
            survivor = await peer.start("exec sleep 600", wait_s=0)
            for _ in range(56):  # execd holds all the output that it may: no process is as large
                await peer.start("yes 0123456789 | head -c 1200000", wait_s=30)
            killed = await _killed_by_hunger(peer)
            status = str((await peer.processes())[killed]["status"])
            assert "killed by KILL" in status
            assert (await peer.processes())[survivor]["state"] == "running"
            assert await output_of(peer, "echo works") == "works"
            assert docker("inspect", "--format", "{{.State.Status}}", instance.container).strip() == "running"


async def _killed_by_hunger(peer: Peer) -> str:
    """Start small processes that hold memory until there is none; returns the first that was killed."""
    hold = (
        """exec awk 'BEGIN { s = sprintf("%9000000s", ""); print "full"; fflush(); while (1) system("sleep 100") }'"""
    )
    for _ in range(30):
        started = await peer.ok("start_process", command=hold, wait_s=0)
        await peer.call("read_output", process_id=started["process_id"], wait_for="pattern", pattern="full", wait_s=30)
        for name, process in (await peer.processes(state="ended")).items():
            if process.get("signal") == "KILL":
                return name
    raise AssertionError("memory did not run out")


@pytest.mark.parametrize(("tier", "user"), [(1, "65532"), (2, "1234")])
async def test_an_image_with_a_named_user_can_write_its_workspace(
    instance: Instance, image_with_user: str, tier: int, user: str
) -> None:
    with anyio.fail_after(75):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace", image=image_with_user, tier=tier)
            assert await output_of(peer, "echo data > /workspace/file && cat /workspace/file; id -u") == f"data\n{user}"


@pytest.fixture
def image_with_user(engine_ground: EngineGround) -> Generator[str]:
    """The test image with a user who is named in it, as most images for development have one."""
    container = docker("create", IMAGE, "true").strip()
    passwd = b"root:x:0:0:root:/root:/bin/sh\ndev:x:1234:1234:dev:/home/dev:/bin/sh\n"
    entry = tarfile.TarInfo("etc/passwd")
    entry.size = len(passwd)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(passwd))
    subprocess.run(("docker", "cp", "-", f"{container}:/"), input=archive.getvalue(), check=True)
    docker("commit", "--change", "USER dev", container, WITH_USER)
    docker("rm", container)
    yield WITH_USER
    docker("rmi", "--force", WITH_USER)


def _fetched(url: str) -> bytes:
    """What a browser on this machine gets; the server in the workspace may need a moment to listen."""
    for _ in range(50):
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return cast("bytes", response.read())
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} did not answer")
