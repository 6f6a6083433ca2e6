"""The image that holds rooms: made where it is missing, removed where it is of another build."""

from __future__ import annotations

import pytest
from support.fake_engine import FakeEngine

from ws_mcp.core.engine.model import ContainerSpec, Image
from ws_mcp.core.execd.binaries import NoBinaryError
from ws_mcp.core.execd.hold import COMMAND, REPOSITORY, ensure_hold, forget_old_holds, hold_image


async def test_it_is_made_once() -> None:
    engine = FakeEngine()
    await ensure_hold(engine, "arm64")
    await ensure_hold(engine, "arm64")
    assert engine.calls.count("import_image") == 1
    assert (await engine.image(hold_image())).tags == (hold_image(),)
    with pytest.raises(NoBinaryError):
        await ensure_hold(FakeEngine(), "s390x")


async def test_those_of_other_builds_go_unless_they_are_used() -> None:
    engine = FakeEngine()
    await ensure_hold(engine, "amd64")
    old = [f"{REPOSITORY}:{tag}" for tag in ("gone", "wanted", "running")]
    for number, tag in enumerate((*old, "mine:1")):
        engine.add_image(Image(id=f"sha256:{number}", tags=(tag,), architecture="amd64"))
    await engine.create(ContainerSpec(name="c", image=old[2], command=COMMAND))
    assert await forget_old_holds(engine, {old[1]}) == (old[0],)
    assert set(engine.images) == {hold_image(), old[1], old[2], "mine:1"}
