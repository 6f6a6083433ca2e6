"""T34: nothing begins in a directory of the kernel, however its path is written."""

from __future__ import annotations

import anyio
import pytest
from support.instances import Instance

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.processes.checks import check_start
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.processes.model import StartRequest

BAD = (
    "/proc/self/fd/8",
    "/proc/self/fd/7/../../../root",
    "/proc/self/cwd",
    "/proc/1/root",
    "//proc/self/fd/8",
    "///proc/1/root",
    "/./proc/self/fd/8",
    "/workspace/../proc/self/fd/8",
    "/proc",
    "/proc/",
    "/sys/fs/cgroup",
    "/sys",
    "/dev/fd/8",
    "/dev/../proc/self/fd/8",
    "/dev/shm",
    "proc/self/fd/8",
    "../proc/self/fd/8",
    "./x",
    "~",
    "/workspace\0/x",
)


@pytest.mark.parametrize("cwd", BAD)
def test_a_directory_of_the_kernel_is_refused_before_anything_is_asked(cwd: str) -> None:
    with pytest.raises(InvalidArgumentError, match="cwd"):
        check_start(StartRequest(command="true", cwd=cwd), ProcessLimits())


@pytest.mark.parametrize("cwd", ["/workspace/proc", "/procs", "/system", "/devices", "/workspace/../srv/x"])
def test_what_only_looks_like_one_is_let_through(cwd: str) -> None:
    check_start(StartRequest(command="true", cwd=cwd), ProcessLimits())


async def test_a_real_workspace_begins_nothing_there_and_its_descriptors_lead_nowhere(instance: Instance) -> None:
    with anyio.fail_after(110):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace")
            for cwd in BAD:
                assert "cwd" in await peer.refused("start_process", command="pwd", cwd=cwd), cwd
            assert "/nowhere" in await peer.refused("start_process", command="pwd", cwd="/nowhere")
            # A link that somebody inside made leads to the process's own descriptors, and none of them to the host.
            links = "for n in $(seq 0 64); do ln -s /proc/self/fd/$n fd$n; done; ln -s /proc/self/cwd cwd"
            await peer.read(await peer.start(links, wait_s=30))
            for name in (*(f"fd{number}" for number in range(3, 12)), "cwd"):
                answer = await peer.call("start_process", command="pwd -P; ls ..", cwd=f"/workspace/{name}", wait_s=30)
                if not answer.is_error:
                    shown = str((answer.structured_content or {}).get("output"))
                    assert not shown.startswith(("(unreachable)", "/proc", "/var/lib")), (name, shown)
            said = await peer.refused("provision_workspace", name="x", options={"cwd": "/proc/self/fd/8"})
            assert "not below /proc, /sys or /dev" in said
            assert len(instance.containers) == 1
