"""T22: what was not granted to a principal is not there: not by its name, not in an error, not by what is in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.denials import open_server
from support.edge_client import MODES
from support.policies import ALICE, BOB, everything, in_force
from support.workspace_ground import SPEC, an_engine, open_service

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.policy.in_force import PolicyInForce
from ws_mcp.core.workspaces.model import Content
from ws_mcp.core.workspaces.rules import WorkspaceRules

SECRET = "only for alice"


def policy(tmp_path: Path) -> PolicyInForce:
    directory = tmp_path / "template"
    directory.mkdir(exist_ok=True)
    (directory / "rules.md").write_text(SECRET)
    base = WorkspaceRules(
        templates={"alices": directory, "shared": directory}, homes={"alices": directory}, runtimes={"alices": "img:1"}
    )
    return in_force(
        everything("alice"),
        everything("bob", templates=("shared",), homes=(), runtimes=()),
        base=base,
    )


@pytest.mark.parametrize("wish", [Content(template="alices"), Content(home="alices")])
async def test_another_ones_template_and_none_are_one_answer(tmp_path: Path, wish: Content) -> None:
    rules = policy(tmp_path).rules_of(BOB)
    fake = an_engine()
    async with open_service(fake, tmp_path, rules) as service:
        told: list[str] = []
        nothing = replace(wish, template=wish.template and "nothing", home=wish.home and "nothing")
        for content in (wish, nothing):
            with pytest.raises(InvalidArgumentError) as raised:
                await service.provision(replace(SPEC, content=content))
            told.append(str(raised.value).replace("alices", "X").replace("nothing", "X"))
        assert told[0] == told[1]
        assert SECRET not in told[0]
        assert "create" not in fake.calls
    async with open_service(fake, tmp_path, policy(tmp_path).rules_of(ALICE)) as service:
        assert (await service.provision(replace(SPEC, content=Content(template="alices")))).change == "created"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["template", "home", "runtime"])
async def test_a_name_that_is_not_granted_is_refused_as_one_that_does_not_exist(
    tmp_path: Path, mode: str, kind: str
) -> None:
    async with open_server(policy(tmp_path), mode, BOB) as server:
        rule = f"grant 'bob': {kind}s"
        foreign = await server.denied("provision_workspace", rule, options={kind: "alices"})
        missing = await server.denied("provision_workspace", rule, options={kind: "nothing"})
        assert foreign.replace("alices", "X") == missing.replace("nothing", "X")
        assert "shared" not in foreign


@pytest.mark.parametrize("mode", MODES)
async def test_names_that_are_granted_to_others_are_listed_nowhere(tmp_path: Path, mode: str) -> None:
    async with open_server(policy(tmp_path), mode, BOB) as server:
        shown = repr(await server.client.list_tools()) + repr(await server.client.list_resources())
        shown += repr(await server.client.read_resource("ws://containers"))
        assert "alices" not in shown
        assert SECRET not in shown
