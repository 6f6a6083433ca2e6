"""A hundred processes on the host and twenty in a container outlive their server: none lost, none with a gap."""

from __future__ import annotations

import re

import anyio
from support.instances import Instance
from support.peers import Page, Peer, until

COUNTS = 'i=0; while :; do i=$((i+1)); echo "line $i"; sleep 1; done'
ENDS = 'echo "line 1"; until test -e go; do sleep 0.3; done; echo "line 2"; exit %d'
GO = "sleep 0.5; touch go"
PLACES = {"here": ("local", 100), "main": ("container", 20)}
LINE = re.compile(r"line (\d+)\n")


async def started(peer: Peer, workspace: str, count: int) -> dict[str, int | None]:
    """Every fifth ends with a code of its own when there is no server; the others go on."""
    made: dict[str, int | None] = {}
    for number in range(count):
        code = number + 1 if number % 5 == 0 else None
        made[await peer.start(COUNTS if code is None else ENDS % code, workspace=workspace, wait_s=0)] = code
    return made


async def check_kept(peer: Peer, codes: dict[str, int | None], before: dict[str, Page]) -> None:
    for process, code in codes.items():
        if code is not None:
            assert f"exited {code} after" in (await peer.read(process, wait_for="exit", wait_s=20)).status
    found = await peer.processes()
    for process, code in codes.items():
        assert (found[process]["state"], found[process].get("exit_code")) == (
            ("running", None) if code is None else ("ended", code)
        )
        seen = before[process]
        following = await peer.read(process, offset=seen.next_offset)
        assert following.start == seen.next_offset
        numbers = [int(number) for number in LINE.findall(seen.output + following.output)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) > 1 or code is None


async def test_a_hundred_local_processes_and_twenty_in_a_container_survive_a_killed_server(instance: Instance) -> None:
    flags = ("--running", "200")
    codes: dict[str, int | None] = {}
    with anyio.fail_after(75):
        async with instance.open_peer(*flags) as peer:
            for workspace, (kind, count) in PLACES.items():
                await peer.ok("provision_workspace", name=workspace, kind=kind)
                codes |= await started(peer, workspace, count)
            before = {process: await peer.read(process) for process in codes}
            for workspace in PLACES:
                await peer.start(GO, workspace=workspace, wait_s=0)
            await peer.kill()
        async with instance.open_peer(*flags) as peer:
            try:
                assert set(codes) <= set(await peer.processes())
                await check_kept(peer, codes, before)
                lives = next(process for process, code in codes.items() if code is None)
                await peer.read(lives, wait_for="pattern", pattern="line 3", wait_s=20)
            finally:
                await peer.ok("remove_workspace", name="*", keep_data=False)
            await until(lambda: _are_gone(peer))


async def _are_gone(peer: Peer) -> bool:
    return await peer.workspaces() == {}
