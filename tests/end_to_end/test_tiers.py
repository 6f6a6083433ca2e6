"""What a tier promises, seen from inside the container and from this machine."""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Generator
from typing import cast

import anyio
import anyio.to_thread
import pytest
from support.docker_cli import docker
from support.instances import IMAGE, Instance
from support.peers import Json, Peer
from support.real_engine import EngineGround

WITH_USER = "wsmcp-test-user:1"


async def status_of(peer: Peer) -> dict[str, str]:
    """/proc/self/status of a process of the only workspace."""
    page = await peer.read(await peer.start("cat /proc/self/status", wait_s=5))
    return {name: rest.strip() for name, _, rest in (line.partition(":") for line in page.output.splitlines())}


async def output_of(peer: Peer, command: str) -> str:
    return (await peer.read(await peer.start(command, wait_s=10))).output.strip()


async def test_tier_1_has_no_capabilities_no_network_and_a_data_directory(instance: Instance) -> None:
    with anyio.fail_after(20):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace", tier=1)
            status = await status_of(peer)
            assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
            assert status["NoNewPrivs"] == "1"
            assert status["Seccomp"] == "2"
            assert status["Uid"].split() == ["65532"] * 4
            assert await output_of(peer, "echo data > /workspace/file && cat /workspace/file") == "data"
            assert await output_of(peer, "echo x 2>/dev/null > /file || echo refused") == "refused"
            assert await output_of(peer, "ls /sys/class/net") == "lo"


async def test_tier_2_has_few_capabilities_and_reaches_the_network(instance: Instance) -> None:
    with anyio.fail_after(20):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace")
            status = await status_of(peer)
            raw, mknod = 1 << 13, 1 << 27
            assert int(status["CapEff"], 16) & (raw | mknod) == 0
            assert status["NoNewPrivs"] == "1"
            assert "eth0" in await output_of(peer, "ls /sys/class/net")
            assert await output_of(peer, "echo data > /workspace/file && cat /workspace/file") == "data"


async def test_a_published_port_answers_on_this_machine(instance: Instance) -> None:
    with anyio.fail_after(20):
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
                await peer.start("yes 0123456789 | head -c 1200000", wait_s=10)
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
        await peer.call("read_output", process_id=started["process_id"], wait_for="pattern", pattern="full", wait_s=10)
        for name, process in (await peer.processes(state="ended")).items():
            if process.get("signal") == "KILL":
                return name
    raise AssertionError("memory did not run out")


@pytest.mark.parametrize(("tier", "user"), [(1, "65532"), (2, "1234")])
async def test_an_image_with_a_named_user_can_write_its_workspace(
    instance: Instance, image_with_user: str, tier: int, user: str
) -> None:
    with anyio.fail_after(20):
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
