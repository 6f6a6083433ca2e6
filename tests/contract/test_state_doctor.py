"""What doctor says of a database that servers share, and what a server on one refuses."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
import pytest
from support.postgres import PASSWORD, Postgres

from ws_mcp.console import Mark
from ws_mcp.core.choices import Choices
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import ChatId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.runtime import open_core
from ws_mcp.core.state import open_state
from ws_mcp.core.workspaces.model import WorkspaceKind, WorkspaceSpec
from ws_mcp.doctor_database import database_facts

pytestmark = pytest.mark.usefixtures("real_io")


async def test_doctor_says_whether_the_database_is_reached_and_whose_it_is(postgres: Postgres, tmp_path: Path) -> None:
    address = postgres.url(postgres.new_database())
    assert await database_facts("") == []
    (empty,) = await database_facts(address)
    assert "empty: made on first use" in empty.text
    async with open_state(tmp_path / "s", address) as state:
        (fact,) = await database_facts(address)
        assert f"instance {state.instance.id}, servers: 1" in fact.text
    (fact,) = await database_facts(address.replace(PASSWORD, "wrong"))
    assert fact.mark is Mark.BAD
    assert "let this server in" in fact.text
    assert "wrong" not in f"{fact.text} {fact.advice}"


async def test_a_local_workspace_is_refused_with_the_reason(postgres: Postgres, tmp_path: Path) -> None:
    address = postgres.url(await anyio.to_thread.run_sync(postgres.new_database))
    choices = Choices(state=tmp_path / "s", database=address)
    assert PASSWORD not in repr(choices)
    async with open_core(choices, None) as core:
        scope = Scope(principal=PrincipalId("p"), chat=ChatId("c"))
        spec = WorkspaceSpec(name=WorkspaceName("main"), kind=WorkspaceKind.LOCAL)
        with pytest.raises(InvalidArgumentError, match="of one machine"):
            await core.local.provision(scope, spec)
