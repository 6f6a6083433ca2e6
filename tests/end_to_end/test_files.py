"""Files in and out of workspaces that run and that are stopped, and nothing of what is outside of them."""

from __future__ import annotations

import base64
import json

import anyio
import pytest
from support.instances import Instance
from support.peers import Peer, text_of
from support.tier_probe import output_of

MIB = 1 << 20
EVERY_BYTE = bytes(range(256))


async def files(peer: Peer, action: str, path: str, **arguments: object) -> str:
    result = await peer.call("workspace_files", action=action, path=path, **arguments)
    assert not result.is_error, text_of(result)
    return text_of(result)


async def refused(peer: Peer, action: str, path: str, **arguments: object) -> str:
    return await peer.refused("workspace_files", action=action, path=path, **arguments)


async def check_in_and_out(peer: Peer, state: str) -> None:
    """That texts and bytes come back as they were written, whole and in parts."""
    top = f"{state}/deep"
    written = await files(peer, "write", f"{top}/text.txt", content="grüße\nsecond\n")
    assert json.loads(written) == {"path": f"/workspace/{top}/text.txt", "size": 15}
    whole = await files(peer, "read", f"/workspace/{top}/text.txt")
    assert whole == f"grüße\nsecond\n[/workspace/{top}/text.txt | bytes 0-15 of 15 | end of file]"
    part = await files(peer, "read", f"{top}/text.txt", offset=8, limit=4)
    assert part == f"seco\n[/workspace/{top}/text.txt | bytes 8-12 of 15 | next offset=12]"
    # A character that the limit would cut comes with the next read.
    assert (await files(peer, "read", f"{top}/text.txt", limit=5)).startswith("grü\n[")

    await files(peer, "write_base64", f"{top}/bytes", content=base64.b64encode(EVERY_BYTE).decode())
    text, _, status = (await files(peer, "read", f"{top}/bytes")).rpartition("\n")
    assert base64.b64decode(text) == EVERY_BYTE
    assert status == f"[/workspace/{top}/bytes | bytes 0-256 of 256 | base64 | end of file]"

    await files(peer, "write", f"{top}/empty", content="")
    listed = json.loads(await files(peer, "list", top))
    assert {entry["name"]: entry.get("size", 0) for entry in listed["entries"]} == {
        "bytes": 256,
        "empty": 0,
        "text.txt": 15,
    }
    assert "deep" in await files(peer, "list", state)

    await files(peer, "write", f"{state}/big", content="x" * MIB)
    assert "too long: at most 1048576 bytes" in await refused(peer, "write", f"{state}/big", content="x" * (MIB + 1))
    assert "of 1048576 | next offset=39000]" in await files(peer, "read", f"{state}/big", limit=10**9)
    assert (await files(peer, "read", f"{state}/big", offset=MIB - 1)).startswith("x\n[")


async def check_bounds(peer: Peer, state: str) -> None:
    """That no path leads out, that /configs is read and never written, and that what is missing is said."""
    assert await files(peer, "read", "/configs/a.txt") == "one\n[/configs/a.txt | bytes 0-4 of 4 | end of file]"
    assert "a.txt" in await files(peer, "list", "/configs")
    assert "provision_workspace only" in await refused(peer, "write", "/configs/a.txt", content="x")
    for path in ("/etc/passwd", "../etc/passwd", "a/../../etc/passwd", "/workspace/../etc/passwd", "/proc/1/environ"):
        for action, more in (("read", {}), ("list", {}), ("write", {"content": "x"})):
            await refused(peer, action, path, **more)
    for path in ("leak", "out/passwd"):
        assert "root:" not in await refused(peer, "read", path)
    await peer.call("workspace_files", action="write", path="out/planted", content="x")
    assert f"{state}/missing" in await refused(peer, "read", f"{state}/missing")
    assert "directory" in await refused(peer, "read", state)
    assert "base64" in await refused(peer, "write_base64", "x", content="no base64!")
    assert "content" in await refused(peer, "write", "x")
    beyond = await files(peer, "read", f"{state}/deep/text.txt", offset=99)
    assert beyond == f"[/workspace/{state}/deep/text.txt | bytes 99-99 of 15 | end of file]"


@pytest.mark.long("podman")
async def test_files_go_in_and_out_of_a_running_and_of_a_stopped_workspace(each_instance: Instance) -> None:
    with anyio.fail_after(90):
        async with each_instance.open_peer() as peer:
            await peer.ok("provision_workspace", options={"files": {"a.txt": "one\n"}})
            await output_of(peer, "ln -s /etc/passwd leak; ln -s /etc out")
            await files(peer, "write_program", "run", content="#!/bin/sh\necho ran\n")
            assert await output_of(peer, "./run") == "ran"
            await check_in_and_out(peer, "running")
            await check_bounds(peer, "running")

            await peer.ok("stop_workspace", name="main")
            assert (await files(peer, "read", "running/deep/text.txt")).startswith("grüße\nsecond\n")
            await check_in_and_out(peer, "stopped")
            await check_bounds(peer, "stopped")

            assert (await peer.ok("provision_workspace"))["change"] == "started"
            assert await output_of(peer, "cat stopped/deep/text.txt; ls /etc/planted 2>&1 | grep -c No") == (
                "grüße\nsecond\n1"
            )


async def test_a_file_of_a_removed_workspace_is_not_found_and_its_kept_data_comes_back(instance: Instance) -> None:
    with anyio.fail_after(90):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace", tier=1)
            await files(peer, "write", "note", content="kept")
            assert await output_of(peer, "cat note; id -u") == "kept65532"
            await peer.ok("remove_workspace", name="main")
            for action in ("read", "list"):
                assert "provision_workspace" in await refused(peer, action, "note")
            assert "provision_workspace" in await refused(peer, "write", "note", content="x", workspace="main")
            await peer.ok("provision_workspace", tier=1)
            assert (await files(peer, "read", "note")).startswith("kept\n[")
