"""T08: a volume that somebody made before us, under the name of ours, is neither used nor touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_engine import FakeEngine
from support.workspace_ground import SPEC, Service, an_engine, open_service
from support.workspace_values import SCOPE

from ws_mcp.core.engine.model import Volume
from ws_mcp.core.errors import EngineConflictError, EngineNotFoundError
from ws_mcp.core.workspaces import naming

PLAIN = Volume(name="", driver="local", labels={}, options={}, created_at="2026-01-01T00:00:00Z")
BIND = {"type": "none", "o": "bind", "device": "/etc"}
FOREIGN = {
    "nobody's": PLAIN,
    "a bind of the host": replace(PLAIN, options=BIND),
    "one of a network": replace(PLAIN, options={"type": "nfs", "o": "addr=10.0.0.1,rw", "device": ":/"}),
    "one of another driver": replace(PLAIN, driver="vieux/sshfs"),
}
"""What an attacker makes; each with no labels of ours, and with those that ours had, which can be read and copied."""


class Raced(FakeEngine):
    """An engine on which somebody makes a volume between our look and our `create`, which then returns theirs."""

    late: Volume | None = None

    async def inspect_volume(self, name: str) -> Volume:
        if self.late is not None and name == self.late.name:
            late, self.late = self.late, None
            self.add_volume(late)
            raise EngineNotFoundError(f"could not look at volume {name!r}: no such volume")
        return await super().inspect_volume(name)


def _raced() -> Raced:
    fake = Raced()
    fake.images = an_engine().images
    return fake


async def _refused(fake: FakeEngine, service: Service, foreign: Volume) -> None:
    """Provisioning fails, nothing of it is left, and the volume is as it was."""
    with pytest.raises(EngineConflictError, match=r"a volume with the engine name.*did not make"):
        await service.provision()
    assert await fake.inspect_volume(foreign.name) == foreign
    assert fake.containers == {}


async def _labels_of_ours(fake: FakeEngine, service: Service, name: str) -> dict[str, str]:
    made = await service.made()
    labels = dict((await fake.inspect_volume(name)).labels)
    await service.workspaces.remove(made, keep_volume=False)
    return labels


@pytest.mark.parametrize(
    ("case", "copies_labels"),
    [(case, copies) for case in FOREIGN for copies in (False, True) if case != "nobody's" or not copies],
)
@pytest.mark.parametrize("is_late", [False, True])
async def test_a_volume_made_before_ours_is_refused_and_left(
    tmp_path: Path, case: str, copies_labels: bool, is_late: bool, real_io: None
) -> None:
    fake = _raced()
    async with open_service(fake, tmp_path) as service:
        name = naming.volume_name(service.workspaces.place(SCOPE, SPEC.name))
        labels = await _labels_of_ours(fake, service, name) if copies_labels else {}
        foreign = replace(FOREIGN[case], name=name, labels=labels)
        if is_late:
            fake.late = foreign
        else:
            fake.add_volume(foreign)
        await _refused(fake, service, foreign)


async def test_the_labels_of_another_volume_make_none_ours(tmp_path: Path, real_io: None) -> None:
    fake = _raced()
    async with open_service(fake, tmp_path) as service:
        other = replace(SPEC, name=naming.workspace_name("other"))
        made = await service.made(other)
        labels = (await fake.inspect_volume(made.volume)).labels
        foreign = replace(PLAIN, name=naming.volume_name(service.workspaces.place(SCOPE, SPEC.name)), labels=labels)
        fake.add_volume(foreign)
        with pytest.raises(EngineConflictError, match="did not make"):
            await service.provision()
        assert await fake.inspect_volume(foreign.name) == foreign
