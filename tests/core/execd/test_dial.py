"""What is said of a container in which nothing can be run."""

from __future__ import annotations

import pytest
from support.fake_engine import FakeEngine

from ws_mcp.core.engine.model import ContainerSpec, ContainerState, Image
from ws_mcp.core.errors import EngineUnavailableError, PlaceUnavailableError
from ws_mcp.core.execd.dial import dial_through
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import PlaceId


async def refusal(engine: FakeEngine, state: ContainerState) -> str:
    engine.add_image(Image(id="sha256:" + "1" * 64, tags=("i:1",), architecture="amd64"))
    container = await engine.create(ContainerSpec(name="c", image="i:1"))
    engine.containers[container].state = state
    address = PlaceAddress(place=PlaceId("w"), container=container, binary="/execd", directory="/d", user="")
    with pytest.raises(PlaceUnavailableError) as refused:
        async with dial_through(engine)(address):
            pass
    return str(refused.value)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ContainerState.PAUSED, "paused; unpause it"),
        (ContainerState.EXITED, "stopped; call provision_workspace"),
        (ContainerState.RESTARTING, "restarts; try again"),
    ],
)
async def test_what_to_do_depends_on_why_nothing_runs(state: ContainerState, words: str) -> None:
    assert words in await refusal(FakeEngine(), state)


async def test_a_container_that_cannot_be_looked_at_is_not_called_stopped() -> None:
    engine = FakeEngine()
    engine.fail_next("inspect", EngineUnavailableError("no engine answers"))
    assert "no engine answers" in await refusal(engine, ContainerState.EXITED)
