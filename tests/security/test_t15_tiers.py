"""T15: a tier is granted by the operator to a principal; no call raises it, and over HTTP 3 and 4 need a word more."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import anyio.lowlevel
import pytest
from support.denials import open_server
from support.edge_client import MODES
from support.policies import ALICE, WIDEST, act, everything, in_force
from support.workspace_ground import SPEC, an_engine, open_service
from support.workspace_values import SCOPE

from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.ids import PlaceId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.policy.acts import Transport
from ws_mcp.core.workspaces.model import Ask, Replace, Workspace, WorkspaceKind, WorkspaceState
from ws_mcp.core.workspaces.mounts import Access
from ws_mcp.core.workspaces.registry import Workspaces
from ws_mcp.core.workspaces.rules import WorkspaceRules

TIERS = range(-1, 10)
GRANTS = (1, 2, 3, 4)


@pytest.mark.parametrize(("tier", "grant"), list(itertools.product(TIERS, GRANTS)))
async def test_a_tier_is_had_only_if_it_exists_and_is_granted(tmp_path: Path, tier: int, grant: int) -> None:
    fake = an_engine()
    rules = in_force(everything(max_tier=grant), max_tier=max(2, grant)).rules_of(ALICE)
    async with open_service(fake, tmp_path, rules) as service:
        if 1 <= tier <= grant:
            assert (await service.provision(replace(SPEC, tier=tier))).change == "created"
            return
        if tier == 0:  # none is asked for: the default, which has to be granted, too
            if grant >= 2:
                assert (await service.provision(replace(SPEC, tier=0))).change == "created"
                return
            tier = 2
        error = ForbiddenError if tier in (1, 2, 3, 4) else InvalidArgumentError
        with pytest.raises(error):
            await service.provision(replace(SPEC, tier=tier))
        assert not {"create", "pull"} & set(fake.calls)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tier", [3, 4])
async def test_a_tier_above_the_grant_is_refused_and_written_down(mode: str, tier: int) -> None:
    policy = in_force(everything(max_tier=2), max_tier=4)
    async with open_server(policy, mode) as server:
        await server.allowed("provision_workspace", tier=1, image="debian:13")
        said = await server.denied("provision_workspace", "grant 'alice': max_tier", tier=tier)
        assert f"tier {tier} is not granted here: the most is tier 2" in said
        await server.allowed("provision_workspace", tier=2, image="debian:13")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tier", [-1, 0, 5, 9])
async def test_a_tier_that_does_not_exist_is_no_other_one(mode: str, tier: int) -> None:
    policy = in_force(everything(max_tier=4), max_tier=4)
    async with open_server(policy, mode) as server:
        result = await server.client.call_tool("provision_workspace", {"tier": tier})
        assert result.is_error == (tier < 1)  # the schema; the others are for the core, which the grid asks
        assert [spec.tier for spec in server.core.specs] == ([tier] if tier >= 1 else [])


@pytest.mark.parametrize(
    ("transport", "over_http", "tier", "rule"),
    [
        ("stdio", False, 4, ""),
        ("http", False, 2, ""),
        ("http", False, 3, "privileged.over_http"),
        ("http", False, 4, "privileged.over_http"),
        ("http", True, 4, ""),
    ],
)
def test_tiers_that_are_root_need_a_word_for_http(transport: Transport, over_http: bool, tier: int, rule: str) -> None:
    policy = in_force(everything(max_tier=4), transport=transport, max_tier=4, has_privileged_http=over_http)
    verdict = policy.decide(replace(act("provision_workspace", tier=tier), transport=transport))
    assert (verdict.is_allowed, verdict.rule) == (not rule, rule or "grant 'alice'")
    assert policy.rules_of(ALICE).max_tier == (4 if transport == "stdio" or over_http else 2)


async def test_a_workspace_of_tier_1_is_not_raised_by_asking_again(tmp_path: Path) -> None:
    fake = an_engine()
    rules = in_force(everything(max_tier=2), max_tier=4).rules_of(ALICE)
    async with open_service(fake, tmp_path, rules) as service:
        made = await service.made(replace(SPEC, tier=1))
        for tier, ask in itertools.product((3, 4), (Ask(), Ask(replace=Replace.ALWAYS), Ask(is_dry_run=True))):
            with pytest.raises(ForbiddenError):
                await service.provision(replace(SPEC, tier=tier), ask)
        still = await service.made(replace(SPEC, tier=0))
        assert (still.container, still.tier) == (made.container, made.tier)
        assert not any(c.spec.is_privileged for c in fake.containers.values())


async def test_what_was_made_while_more_was_granted_is_not_started_again(tmp_path: Path) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path, replace(WIDEST, max_tier=3)) as service:
        await service.workspaces.stop(await service.made(replace(SPEC, tier=3)))
    async with open_service(fake, tmp_path, WorkspaceRules()) as service:
        starts = fake.calls.count("start")
        with pytest.raises(ForbiddenError, match="tier 3 is not granted"):
            await service.provision(replace(SPEC, image=""))
        assert fake.calls.count("start") == starts


class OneWorkspace:
    """A workspace that runs, in place of all local ones."""

    def __init__(self, tier: int) -> None:
        self.it = Workspace(
            name=SPEC.name,
            kind=WorkspaceKind.LOCAL,
            place=PlaceId("p"),
            state=WorkspaceState.RUNNING,
            image="",
            tier=tier,
            created_at=datetime(2026, 11, 20, tzinfo=UTC),
        )

    async def find(self, scope: Scope, name: WorkspaceName) -> Workspace | None:
        await anyio.lowlevel.checkpoint()
        return self.it if (scope, name) == (SCOPE, SPEC.name) else None

    def address(self, place: PlaceId) -> PlaceAddress:
        return PlaceAddress(place=place, container=None, binary="", directory="/none", user="")


class Connected:
    """Connections to all places."""

    def has(self, address: PlaceAddress) -> bool:
        return True


def found(**change: Any) -> Workspace:
    made = OneWorkspace(2).it
    return replace(made, kind=WorkspaceKind.CONTAINER, asked_image="img:1", **change)


@pytest.mark.parametrize(
    ("rules", "workspace", "said"),
    [
        (WorkspaceRules(has_local=False), replace(found(), kind=WorkspaceKind.LOCAL), "no local workspaces"),
        (WorkspaceRules(images=("other:*",)), found(), "image 'img:1' is not one"),
        (WorkspaceRules(max_tier=1), found(), "what tier 2 may, which you are not granted now"),
        (WorkspaceRules(roots=(Path("/b"),)), found(folder="/a/x"), "its folder is not below"),
        (WorkspaceRules(roots=(Path("/a"),), access=Access.READ_ONLY), found(folder="/a/x"), "access 'read_write'"),
    ],
)
def test_what_was_made_while_more_was_granted_is_not_worked_in(
    rules: WorkspaceRules, workspace: Workspace, said: str
) -> None:
    workspace = replace(workspace, access=Access.READ_WRITE)
    with pytest.raises(ForbiddenError, match=said):
        rules.check_found(workspace)
    WorkspaceRules(roots=(Path("/a"),)).check_found(workspace)


@pytest.mark.parametrize(("tier", "most"), list(itertools.product(GRANTS, GRANTS)))
async def test_nothing_is_started_in_a_workspace_that_may_more_than_is_granted_now(tier: int, most: int) -> None:
    granted = [4]
    local, places = OneWorkspace(tier), Connected()

    def narrowed(_: PrincipalId) -> WorkspaceRules:
        return WorkspaceRules(max_tier=granted[-1])

    workspaces = Workspaces(None, cast("Any", local), cast("Any", places), narrowed)
    await workspaces.resolve(SCOPE, SPEC.name)  # from here on it is remembered
    granted.append(most)
    if tier <= most:
        assert (await workspaces.resolve(SCOPE, SPEC.name))[0] == SPEC.name
        return
    for _ in range(2):
        with pytest.raises(ForbiddenError, match=f"what tier {tier} may, which you are not granted now"):
            await workspaces.resolve(SCOPE, SPEC.name)
        workspaces.forget(SCOPE, SPEC.name)
