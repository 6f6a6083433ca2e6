from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import cast

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream
from support.fake_execd import FakeExecd, open_fake_execd

from ws_mcp.core.errors import PlaceUnavailableError
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.failures import ExecdUnavailableError
from ws_mcp.core.execd.places import PlaceAddress, Places, open_places
from ws_mcp.core.execd.protocol import Event
from ws_mcp.core.ids import PlaceId


def address_of(place: str) -> PlaceAddress:
    return PlaceAddress(place=PlaceId(place), container=None, binary="", directory="", user="")


@dataclass
class Ground:
    """Two places, the ways to them, and what was heard of them."""

    one: FakeExecd
    two: FakeExecd
    heard: list[tuple[str, Event]] = field(default_factory=list[tuple[str, Event]])
    dials: int = 0
    full: int = 0  # so often the runtime can start nothing there
    may_connect: anyio.Event | None = None

    def dial(self, address: PlaceAddress) -> AbstractAsyncContextManager[ByteStream]:
        return self._dial({"w_one": self.one, "w_two": self.two}[address.place])

    def kinds(self) -> list[tuple[str, str]]:
        return [(place, event.kind) for place, event in self.heard]

    @asynccontextmanager
    async def places(self) -> AsyncGenerator[Places]:
        def listen(place: PlaceId, event: Event) -> None:
            self.heard.append((place, event))

        async with open_places(self.dial, lambda place: f"secret of {place}", "t", listen) as places:
            yield places

    @asynccontextmanager
    async def _dial(self, execd: FakeExecd) -> AsyncGenerator[ByteStream]:
        self.dials += 1
        if self.may_connect is not None:
            await self.may_connect.wait()
        if self.dials <= self.full:
            yield cast("ByteStream", Refused())
            return
        async with execd.dial() as stream:
            yield stream


class Refused:
    """What an engine's exec stream says of a command that its runtime could not start."""

    async def send(self, data: bytes) -> None:
        await anyio.lowlevel.checkpoint()

    async def receive(self, max_bytes: int) -> bytes:
        await anyio.lowlevel.checkpoint()
        return b"OCI runtime exec failed: exec failed: unable to start container process: procReady not received"

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()


@pytest.fixture
async def ground() -> AsyncGenerator[Ground]:
    async with (
        open_fake_execd("w_one", "secret of w_one") as one,
        open_fake_execd("w_two", "secret of w_two") as two,
    ):
        yield Ground(one, two)


async def test_a_connection_is_made_once_and_kept(ground: Ground) -> None:
    async with ground.places() as places:
        assert places.known() == ()
        first = await places.client(address_of("w_one"))
        assert await places.client(address_of("w_one")) is first
        await first.call("ping", {}, timeout_s=5)
        assert places.known() == (PlaceId("w_one"),)
        assert places.is_connected(PlaceId("w_one"))
        assert not places.is_connected(PlaceId("w_two"))
    assert ground.dials == 1
    assert ground.kinds() == [("w_one", "connected")]


async def test_a_full_container_is_tried_again_until_there_is_a_place(ground: Ground, virtual_time: None) -> None:
    ground.full = 3
    async with ground.places() as places:
        await (await places.client(address_of("w_one"))).call("ping", {}, timeout_s=5)
    assert ground.dials == 4


async def test_a_container_that_stays_full_says_what_to_do(ground: Ground, virtual_time: None) -> None:
    ground.full = 1000
    async with ground.places() as places:
        with pytest.raises(
            ExecdUnavailableError, match=r"nothing more can be started in its container.*stop_workspace"
        ):
            await places.client(address_of("w_one"))
    assert ground.dials > 10


async def test_callers_at_the_same_time_share_one_attempt(ground: Ground) -> None:
    ground.may_connect = anyio.Event()
    found: list[ExecdClient] = []
    async with ground.places() as places:

        async def one() -> None:
            found.append(await places.client(address_of("w_one")))

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(one)
            await anyio.wait_all_tasks_blocked()
            ground.may_connect.set()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    assert ground.dials == 1


async def test_a_caller_that_gives_up_does_not_end_the_attempt_of_others(ground: Ground) -> None:
    ground.may_connect = anyio.Event()
    async with ground.places() as places:
        with anyio.move_on_after(0.01):
            await places.client(address_of("w_one"))
        ground.may_connect.set()
        await places.client(address_of("w_one"))
    assert ground.dials == 1


async def test_a_dead_connection_is_replaced_and_the_new_boot_is_seen(ground: Ground) -> None:
    async with ground.places() as places:
        first = await places.client(address_of("w_one"))
        ground.one.restart()
        await first.closed.wait()
        second = await places.client(address_of("w_one"))
        assert second is not first
        assert (first.boot, second.boot) == (f"{1:016x}", f"{2:016x}")
    boots = [event.header["boot"] for _, event in ground.heard if event.kind == "connected"]
    assert boots == [first.boot, second.boot]


async def test_one_place_that_fails_does_not_touch_another(ground: Ground) -> None:
    async with ground.places() as places:
        other = await places.client(address_of("w_two"))
        ground.one.is_down = True
        with pytest.raises(PlaceUnavailableError) as failed:
            await places.client(address_of("w_one"))
        assert str(failed.value) == (
            "place 'w_one' does not answer now: its container is stopped; call provision_workspace to start it"
        )
        await other.call("ping", {}, timeout_s=5)
        ground.one.is_down = False
        await (await places.client(address_of("w_one"))).call("ping", {}, timeout_s=5)


async def test_every_caller_of_a_failed_attempt_hears_why(ground: Ground) -> None:
    ground.one.is_down = True
    ground.may_connect = anyio.Event()
    async with ground.places() as places:

        async def one() -> None:
            with pytest.raises(ExecdUnavailableError, match="stopped"):
                await places.client(address_of("w_one"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            tasks.start_soon(one)
            await anyio.wait_all_tasks_blocked()
            ground.may_connect.set()
    assert ground.dials == 1


async def test_an_execd_of_another_place_is_not_used(ground: Ground) -> None:
    ground.one.place = "w_stranger"
    async with ground.places() as places:
        with pytest.raises(PlaceUnavailableError, match="another place's execd"):
            await places.client(address_of("w_one"))
    assert ground.kinds() == []


async def test_an_execd_with_another_secret_is_not_used(ground: Ground) -> None:
    ground.one.secret = "changed"
    async with ground.places() as places:
        with pytest.raises(PlaceUnavailableError, match=r"'w_one' .* belongs to another instance"):
            await places.client(address_of("w_one"))


@pytest.mark.usefixtures("virtual_time")
async def test_an_attempt_ends_after_ten_seconds(ground: Ground) -> None:
    ground.may_connect = anyio.Event()
    began = anyio.current_time()
    async with ground.places() as places:
        with pytest.raises(PlaceUnavailableError, match="no connection within 10 s"):
            await places.client(address_of("w_one"))
    assert anyio.current_time() - began == pytest.approx(10, abs=1)


@pytest.mark.usefixtures("virtual_time")
async def test_a_kept_connection_lasts_longer_than_an_attempt(ground: Ground) -> None:
    async with ground.places() as places:
        client = await places.client(address_of("w_one"))
        await anyio.sleep(3600)
        assert await places.client(address_of("w_one")) is client


async def test_a_dropped_place_is_disconnected_and_can_be_asked_again(ground: Ground) -> None:
    async with ground.places() as places:
        client = await places.client(address_of("w_one"))
        await places.drop(PlaceId("w_one"))
        await places.drop(PlaceId("w_two"))
        assert client.is_closed
        assert places.known() == ()
        assert ground.kinds() == [("w_one", "connected"), ("w_one", "disconnected")]
        assert (await places.client(address_of("w_one"))) is not client


async def test_a_drop_ends_an_attempt(ground: Ground) -> None:
    ground.may_connect = anyio.Event()
    async with ground.places() as places, anyio.create_task_group() as tasks:

        async def one() -> None:
            with pytest.raises(ExecdUnavailableError, match="dropped"):
                await places.client(address_of("w_one"))

        tasks.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        await places.drop(PlaceId("w_one"))


async def test_another_address_of_a_place_is_another_connection(ground: Ground) -> None:
    async with ground.places() as places:
        first = await places.client(address_of("w_one"))
        moved = replace(address_of("w_one"), directory="/elsewhere")
        assert places.has(address_of("w_one"))
        assert not places.has(moved)
        second = await places.client(moved)
        assert second is not first
        assert not places.has(address_of("w_one"))
        assert places.has(moved)
        await first.closed.wait()
        assert not second.is_closed


async def test_events_of_all_places_are_told_with_their_place(ground: Ground) -> None:
    async with ground.places() as places:
        for place in ("w_one", "w_two"):
            client = await places.client(address_of(place))
            start = {"process": "p_1", "chat": "c_1", "shell": "sleep 60", "digest": "d"}
            await client.call("start", start, timeout_s=5)
        while len(ground.heard) < 4:
            await anyio.lowlevel.checkpoint()
    assert ground.kinds()[:4] == [
        ("w_one", "connected"), ("w_one", "started"), ("w_two", "connected"), ("w_two", "started"),
    ]  # fmt: skip


async def test_closing_frees_who_still_waits_for_a_connection(ground: Ground) -> None:
    ground.may_connect = anyio.Event()
    async with anyio.create_task_group() as tasks, ground.places() as places:

        async def one() -> None:
            with pytest.raises(ExecdUnavailableError, match="closing"):
                await places.client(address_of("w_one"))

        tasks.start_soon(one)
        await anyio.wait_all_tasks_blocked()
