"""T36: from a workspace of tier 2 neither another workspace nor a server of ours is reached."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import anyio
from support.instances import Instance
from support.server_process import open_http
from support.tier_probe import output_of

GATEWAY = "ip route | sed -n 's/default via //; s/ .*//p' | head -1"
ADDRESS = "ip -4 -o addr show eth0 | sed 's/.*inet //; s,/.*,,'"


async def test_a_workspace_reaches_no_other_one_and_no_server_of_ours(instance: Instance, tmp_path: Path) -> None:
    (tmp_path / "http").mkdir()
    with anyio.fail_after(110), open_http(tmp_path / "http" / "state", "--engine", "none") as server:
        port = urlsplit(server.url).port
        async with instance.open_peer() as peer:
            for name, tier in (("one", 2), ("two", 2), ("locked", 1)):
                await peer.ok("provision_workspace", name=name, tier=tier)
            await peer.start("exec httpd -f -p 8080 -h /workspace", workspace="one", wait_s=0)
            await output_of(peer, "until nc -w 1 127.0.0.1 8080 </dev/null; do sleep 0.05; done", "one")
            other, gateway = await output_of(peer, ADDRESS, "one"), await output_of(peer, GATEWAY, "two")
            assert other
            assert gateway

            async def reached(workspace: str, host: str, at: object) -> str:
                probe = f"nc -w 2 {host} {at} </dev/null >/dev/null 2>&1 && echo yes || echo no"
                return await output_of(peer, probe, workspace)

            assert await reached("one", other, 8080) == "yes"  # the probe can see
            assert await reached("two", other, 8080) == "no"
            for workspace in ("two", "locked"):
                for host in ("127.0.0.1", gateway):
                    assert await reached(workspace, host, port) == "no"
            assert await output_of(peer, "ls /sys/class/net", "locked") == "lo"
            for host in (other, gateway, "169.254.169.254"):
                assert await reached("locked", host, 80) == "no"
