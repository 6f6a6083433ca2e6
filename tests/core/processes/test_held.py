"""Output that ends in half a character or half an escape sequence: waited on without spinning, shown in the end."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.process_ground import open_ground

from ws_mcp.core.ids import ProcessId
from ws_mcp.core.processes.manager import ProcessManager
from ws_mcp.core.processes.model import OutputWindow, ReadRequest, StartRequest, Until, Wait, Woke
from ws_mcp.core.processes.render import Shown, show

pytestmark = pytest.mark.usefixtures("virtual_time")

WAIT = Wait(until=Until.OUTPUT, wait_s=5)
PIECES = (b"a", b"\n", b"\x1b", b"[", b"31m", b"]0;t", b"\x07", "ü".encode(), b"\xe6\xbc", b"\xa2", b"\xf0\x9f")


async def read(manager: ProcessManager, process: ProcessId, offset: int) -> tuple[OutputWindow, Shown]:
    window = await manager.read(process, ReadRequest(offset=offset, wait=WAIT))
    return window, show(window, wait=WAIT)


async def echo(manager: ProcessManager) -> ProcessId:
    return (await manager.start(None, StartRequest(command="cat", keeps_stdin=True))).info.process


async def test_a_wait_on_half_a_sequence_lasts_and_the_half_is_shown_once() -> None:
    async with open_ground() as ground:
        manager = ground.manager()
        process = await echo(manager)
        await manager.write(process, b"abc\x1b[", close=False)
        _, shown = await read(manager, process, 0)
        assert (shown.text, shown.next_offset) == ("abc", 3)
        began = anyio.current_time()
        asked = len(ground.main.asked)
        window, shown = await read(manager, process, 3)
        assert anyio.current_time() - began == pytest.approx(5, abs=0.1)
        assert len(ground.main.asked) - asked < 10
        assert (window.woke, shown.start, shown.next_offset) == (Woke.TIMEOUT, 3, 5)
        window, shown = await read(manager, process, 5)
        assert (window.woke, shown.text, shown.next_offset) == (Woke.TIMEOUT, "", 5)


async def test_the_rest_of_a_sequence_ends_the_wait_and_is_read_with_its_beginning() -> None:
    async with open_ground() as ground, anyio.create_task_group() as tasks:
        manager = ground.manager()
        process = await echo(manager)
        await manager.write(process, b"\x1b[", close=False)
        found: list[Shown] = []

        async def wait() -> None:
            found.append((await read(manager, process, 0))[1])

        tasks.start_soon(wait)
        await anyio.sleep(1)
        await manager.write(process, b"3", close=False)  # still nothing that can be shown
        await anyio.sleep(1)
        assert not found
        await manager.write(process, b"1mred", close=False)
        await anyio.sleep(0.1)
        assert [(shown.text, shown.start, shown.next_offset) for shown in found] == [("red", 0, 8)]


@settings(max_examples=40, deadline=None)
@given(chunks=st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(b"".join), max_size=8))
async def test_every_byte_is_shown_once_whatever_stands_at_the_ends(chunks: list[bytes]) -> None:
    async with open_ground() as ground:
        manager = ground.manager()
        process = await echo(manager)
        parts: list[bytes] = []
        at: int | None = 0
        for chunk in [*chunks, b""]:
            await manager.write(process, chunk, close=not chunk)
            reads = 0
            while at is not None:
                window, shown = await read(manager, process, at)
                assert shown.start == at
                parts.append(window.data[: shown.end - shown.start])
                at, reads = shown.next_offset, reads + 1
                if window.woke is Woke.TIMEOUT:
                    break
            assert reads <= 4
        assert at is None
        assert b"".join(parts) == b"".join(chunks)
