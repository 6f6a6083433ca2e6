"""T23: a flood of output fills two rings and no more; what is dropped is counted to the byte, and nobody waits."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from support.process_ground import Ground, open_ground

from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.processes.model import Exit, ReadRequest, StartRequest, Until, Wait

HEAD, TAIL = ProcessLimits().head_bytes, ProcessLimits().tail_bytes
END = 5 << 20
EXITED = Wait(until=Until.EXIT, wait_s=30, pattern="", idle_s=0.05)


@pytest.fixture
async def ground() -> AsyncGenerator[Ground]:
    async with open_ground("main") as ground:
        yield ground


def test_the_rings_are_as_large_as_is_promised() -> None:
    assert (HEAD, TAIL) == (64 << 10, 1 << 20)


@pytest.mark.parametrize("bytes_", [HEAD, HEAD + TAIL, HEAD + TAIL + 1, END])
async def test_a_process_that_floods_ends_unread_and_its_drops_are_counted(ground: Ground, bytes_: int) -> None:
    manager = ground.manager(limits=ProcessLimits())
    request = StartRequest(command=f"head -c {bytes_} /dev/zero", keeps_stdin=False)
    process = (await manager.start(WorkspaceName("main"), request)).info.process
    window = await manager.read(process, ReadRequest(offset=0, wait=EXITED))
    out = window.info.out
    assert window.info.exit == Exit(code=0)
    assert (out.end, out.dropped) == (bytes_, max(0, bytes_ - HEAD - TAIL))
    assert out.head_end + out.end - out.tail_start <= HEAD + TAIL
    if out.dropped:
        after = await manager.read(process, ReadRequest(offset=HEAD))
        assert (after.start, after.missed) == (out.tail_start, out.dropped)
