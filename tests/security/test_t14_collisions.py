"""T14: ids that begin alike name different things, and nothing is removed under a name that somebody else has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.workspace_ground import SPEC, an_engine, open_service
from support.workspace_values import SCOPE

from ws_mcp.core.engine.model import ContainerSpec
from ws_mcp.core.errors import ConflictError
from ws_mcp.core.ids import ChatId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.workspaces import naming

LENGTHS = range(12, 41)
MANY = 200_000 // len(LENGTHS) + 1
TWELVE, FORTY = "a" * 12, "b" * 40


def test_no_two_of_two_hundred_thousand_names_that_begin_alike_meet() -> None:
    asked = [WorkspaceName(f"{'a' * length}{number}") for length in LENGTHS for number in range(MANY)]
    assert len({naming.place_name("i", SCOPE, name) for name in asked}) == len(asked) >= 200_000


@pytest.mark.parametrize("common", [TWELVE, FORTY])
async def test_a_workspace_whose_name_begins_like_another_touches_nothing_of_it(tmp_path: Path, common: str) -> None:
    fake = an_engine()
    first, second = (WorkspaceName(common[:60] + end) for end in ("x", "y"))
    async with open_service(fake, tmp_path) as service:
        a = await service.made(replace(SPEC, name=first))
        b = await service.made(replace(SPEC, name=second))
        assert a.container != b.container
        await service.workspaces.remove(b, keep_volume=False)
        still = await service.workspaces.find(SCOPE, first)
        assert still is not None
        assert (still.container, still.volume) == (a.container, a.volume)


async def test_the_same_name_of_another_chat_or_principal_is_another_workspace(tmp_path: Path) -> None:
    fake = an_engine()
    others = (
        Scope(principal=SCOPE.principal, chat=ChatId("c2")),
        Scope(principal=PrincipalId("mallory"), chat=SCOPE.chat),
    )
    async with open_service(fake, tmp_path) as service:
        mine = await service.made()
        for other in others:
            theirs = await service.made(scope=other)
            assert theirs.container != mine.container
            await service.workspaces.remove(theirs, keep_volume=False)
        assert (await service.made()).container == mine.container


async def test_a_strangers_container_under_a_name_of_ours_stays(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        place = service.workspaces.place(SCOPE, SPEC.name)
        stranger = await fake.create(ContainerSpec(name=place, image="img:1"))
        before = list(fake.calls)
        with pytest.raises(ConflictError, match="did not make"):
            await service.provision()
        assert (await fake.inspect(stranger)).name == place
        assert not {"create", "remove", "rename", "stop"} & set(fake.calls[len(before) :])
