"""T11: nothing of ours goes into a container because of its labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.devcontainer_values import ROOT, SHOP, SHOP_MOUNT, labels_of
from support.fake_engine import FakeEngine

from ws_mcp.core.devcontainers.allowances import Allowances
from ws_mcp.core.devcontainers.inside import ExecdInside
from ws_mcp.core.devcontainers.merged import Cleared
from ws_mcp.core.devcontainers.model import Key, Record
from ws_mcp.core.devcontainers.policing import Policing
from ws_mcp.core.engine.model import BindMount, ContainerSpec, Image, Mount
from ws_mcp.core.errors import ForbiddenError
from ws_mcp.core.state import open_state

pytestmark = pytest.mark.usefixtures("real_io")

ALLOWED = Allowances(roots=(ROOT,))
ELSEWHERE = Key(folder="/srv/x", config="/srv/x/.devcontainer.json")


@pytest.mark.parametrize(
    ("key", "mounts", "is_privileged"),
    [
        pytest.param(SHOP, (), False, id="only the labels"),
        pytest.param(
            SHOP, (BindMount(source="/home/ann/other", target="/workspaces/shop"),), False, id="another folder"
        ),
        pytest.param(ELSEWHERE, (BindMount(source="/srv/x", target="/w"),), False, id="a folder below no root"),
        pytest.param(SHOP, (SHOP_MOUNT,), True, id="more rights than are allowed"),
    ],
)
async def test_in_a_look_alike_nothing_is_run_and_nothing_is_put(
    tmp_path: Path, key: Key, mounts: tuple[Mount, ...], is_privileged: bool
) -> None:
    engine = FakeEngine()
    engine.add_image(Image(id="sha256:" + "b" * 64, tags=("image:1",), architecture="amd64"))
    spec = ContainerSpec(
        name="x",
        image="image:1",
        command=("sleep", "9"),
        labels=labels_of(key),
        mounts=mounts,
        is_privileged=is_privileged,
    )
    container = await engine.create(spec)
    await engine.start(container)
    record = Record(container=container, key=key, parts={}, is_adopted=True)
    async with open_state(tmp_path / "s") as state:
        inside = ExecdInside(engine, state, "test", {})
        policing = Policing(engine, ALLOWED)
        with pytest.raises(ForbiddenError):
            await inside.arrive(await policing.clear(await engine.inspect(container), record), record)
    assert not {"open_exec", "put_archive", "get_archive"} & set(engine.calls)


def test_who_has_no_proof_cannot_make_one_up() -> None:
    with pytest.raises((RuntimeError, TypeError)):
        Cleared(key=SHOP, container=None, seal=None)  # pyright: ignore[reportArgumentType]
