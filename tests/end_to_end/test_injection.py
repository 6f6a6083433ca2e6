"""execd brought into a running container that somebody else made: it serves there like anywhere."""

from __future__ import annotations

from collections.abc import Generator

import anyio
import pytest
from support.docker_cli import docker
from support.instances import IMAGE
from support.real_engine import EngineGround, LabelledEngine

from ws_mcp.core.execd import delivery
from ws_mcp.core.execd.binaries import binary
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.dial import dial_through
from ws_mcp.core.execd.failures import ExecdUnavailableError
from ws_mcp.core.execd.places import open_places
from ws_mcp.core.execd.protocol import Event
from ws_mcp.core.ids import ContainerId, PlaceId
from ws_mcp.core.workspaces.naming import verifier_of

SECRET = "5" * 64
PLACE = PlaceId("wsmcp-foreign")
CHAT = "somebody"


@pytest.fixture
def foreign(engine_ground: EngineGround) -> Generator[ContainerId]:
    """A running container without a label of ours."""
    container = docker("run", "--detach", IMAGE, "sleep", "600").strip()
    yield ContainerId(container)
    docker("rm", "--force", container)


def ignore(place: PlaceId, event: Event) -> None:
    """Events are of no interest here."""


async def start(client: ExecdClient, process: str, shell: str) -> None:
    fields = {"process": process, "chat": CHAT, "digest": "d", "shell": shell}
    await client.call("start", fields, timeout_s=30)


async def test_an_injected_execd_starts_reads_and_signals(docker_engine: LabelledEngine, foreign: ContainerId) -> None:
    with anyio.fail_after(75):
        program = binary("linux", (await docker_engine.info()).architecture)
        address = await delivery.inject(docker_engine, foreign, PLACE, program, verifier_of(SECRET))
        async with open_places(dial_through(docker_engine), lambda _: SECRET, "test", ignore) as places:
            client = await places.client(address)
            await start(client, "p_one", "echo hi; exec sleep 600")
            wait = {"until": "output", "timeout_ms": 5000}
            read = await client.call(
                "read", {"process": "p_one", "chat": CHAT, "offset": 0, "wait": wait}, timeout_s=10
            )
            assert read.body == b"hi\n"
            fields = {"process": "p_one", "chat": CHAT, "signal": "KILL"}
            signalled = await client.call("signal", fields, timeout_s=10)
            assert (signalled.header["signalled"], signalled.header["left"]) == (1, 0)


async def test_injecting_twice_keeps_the_execd_that_runs(docker_engine: LabelledEngine, foreign: ContainerId) -> None:
    with anyio.fail_after(75):
        program = binary("linux", (await docker_engine.info()).architecture)
        boots: set[str] = set()
        for _ in range(2):
            address = await delivery.inject(docker_engine, foreign, PLACE, program, verifier_of(SECRET))
            async with open_places(dial_through(docker_engine), lambda _: SECRET, "test", ignore) as places:
                boots.add((await places.client(address)).boot)
        assert len(boots) == 1


async def test_who_does_not_know_the_secret_is_not_served(docker_engine: LabelledEngine, foreign: ContainerId) -> None:
    with anyio.fail_after(75):
        program = binary("linux", (await docker_engine.info()).architecture)
        address = await delivery.inject(docker_engine, foreign, PLACE, program, verifier_of(SECRET))
        async with open_places(dial_through(docker_engine), lambda _: "6" * 64, "test", ignore) as places:
            with pytest.raises(ExecdUnavailableError):
                await places.client(address)


async def test_an_injected_execd_that_was_killed_is_injected_again(
    docker_engine: LabelledEngine, foreign: ContainerId
) -> None:
    with anyio.fail_after(75):
        program = binary("linux", (await docker_engine.info()).architecture)
        async with open_places(dial_through(docker_engine), lambda _: SECRET, "test", ignore) as places:
            address = await delivery.inject(docker_engine, foreign, PLACE, program, verifier_of(SECRET))
            first = await places.client(address)
            docker("exec", foreign, "killall", "-9", f"execd-{program.digest}")
            await first.closed.wait()
            with pytest.raises(ExecdUnavailableError):
                await places.client(address)
            again = await delivery.inject(docker_engine, foreign, PLACE, program, verifier_of(SECRET))
            second = await places.client(again)
            assert second.boot != first.boot
            await start(second, "p_two", "true")
