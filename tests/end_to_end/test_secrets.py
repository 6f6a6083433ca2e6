"""Secrets reach what runs in a workspace, and nobody else."""

from __future__ import annotations

import os

import anyio
from support.instances import Instance
from support.peers import Json, Peer, until
from support.tier_probe import output_of

READER = ["sh", "-c", "cat /run/secrets/token > /workspace/got; echo started; exec sleep 600"]


def wish_for(secret: str, **more: object) -> Json:
    return {"command": READER, "secrets": {"token": secret}, **more}


async def check_is_inside(peer: Peer, secret: str) -> None:
    """That the secret is where it belongs, in memory, for its user alone, and that the image's command had it."""

    async def is_there() -> bool:
        return await output_of(peer, "cat /workspace/got") == secret

    await until(is_there)
    assert await output_of(peer, "stat -c %a /run/secrets/token; cat /run/secrets/token") == f"400\n{secret}"
    mount = await output_of(peer, "grep ' /run/secrets ' /proc/self/mounts")
    assert mount.split()[2] == "tmpfs"
    assert {"noexec", "nosuid", "nodev"} <= set(mount.split()[3].split(","))


async def test_a_secret_is_in_the_workspaces_memory_and_nowhere_else(each_instance: Instance) -> None:
    secret, other = (f"canary-{os.urandom(8).hex()}" for _ in range(2))
    engine = each_instance
    said: list[object] = []
    with anyio.fail_after(90):
        async with engine.open_peer("--log-level", "debug") as peer:
            said.append(await peer.ok("provision_workspace", options=wish_for(secret)))
            await check_is_inside(peer, secret)
            said += [await peer.workspaces(), engine.docker("inspect", engine.container)]
            said.append(await peer.ok("provision_workspace", options=wish_for(secret)))
            said.append(await peer.ok("provision_workspace", options=wish_for(secret, dry_run=True)))
            said.append(await peer.ok("provision_workspace", options=wish_for(other, dry_run=True)))
            said.append(await peer.refused("provision_workspace", options=wish_for(secret, tmpfs_mib=10**6)))
            said.append(await peer.refused("provision_workspace", options=wish_for(secret, nonsense=1)))
            said.append(await peer.refused("provision_workspace", options={"secrets": {"../x": secret}}))
            said.append(await peer.refused("provision_workspace", env={"B": "1"}, tier=9, options=wish_for(secret)))

            # What was started behind the server's back waits until it has its secrets again.
            await output_of(peer, "rm /workspace/got")
            engine.docker("restart", "--time", "1", engine.container)
            assert await output_of(peer, "ls /workspace /run/secrets") == "/run/secrets:\n\n/workspace:"
            assert (await peer.ok("provision_workspace"))["change"] == "none"
            await check_is_inside(peer, secret)

            changed = await peer.ok("provision_workspace", options=wish_for(other))
            assert (changed["change"], changed["reasons"]) == ("recreated", ["secrets changed"])
            await check_is_inside(peer, other)
            said += [changed, engine.docker("inspect", engine.container), engine.docker("logs", engine.container)]
            said.append(peer.log.read_text())
    assert secret not in str(said)
    assert other not in str(said)
    assert all(file.stat().st_mode & 0o077 == 0 for file in engine.state.iterdir() if file.is_file())


async def test_a_secret_is_readable_for_the_user_of_a_locked_down_workspace_and_goes_with_it(
    instance: Instance,
) -> None:
    secret = f"canary-{os.urandom(8).hex()}"
    with anyio.fail_after(90):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace", tier=1, options=wish_for(secret))
            await check_is_inside(peer, secret)
            await peer.ok("stop_workspace", name="main", restart=True)
            await check_is_inside(peer, secret)
            await output_of(peer, "rm /workspace/got")
            await peer.ok("remove_workspace", name="main")
            await peer.ok("provision_workspace", tier=1)
            assert await output_of(peer, "ls /run/secrets 2>&1 | grep -c 'No such'") == "1"
        kept = b"".join(file.read_bytes() for file in instance.state.rglob("*") if file.is_file())
        assert secret.encode() not in kept
