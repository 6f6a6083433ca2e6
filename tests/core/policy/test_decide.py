"""Which line of a policy speaks about an act, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.policies import WIDEST, act, everything, in_force

from ws_mcp.core.ids import READ, Principal
from ws_mcp.core.policy.acts import Act
from ws_mcp.core.policy.model import Grant
from ws_mcp.core.workspaces.mounts import Access
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.edge.options import Options

SMALL = Grant(
    principal="alice",
    tools=("provision_workspace", "list_*"),
    images=("debian",),
    roots=(Path("/srv/a"),),
    templates=("py",),
)
BASE = WorkspaceRules(max_tier=4, roots=(Path("/"),), templates={"py": Path("/t"), "js": Path("/u")})


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        (act("provision_workspace"), "grant 'alice'"),
        (act("provision_workspace", tier=2, image="debian:13"), "grant 'alice'"),
        (act("provision_workspace", options=Options(folder="/srv/a/x", access=Access.READ_ONLY)), "grant 'alice'"),
        (act("provision_workspace", options=Options(template="py")), "grant 'alice'"),
        (act("list_processes", is_read_only=True), "grant 'alice'"),
        (act("provision_workspace", tier=99), "grant 'alice'"),  # the tool says that there is none
    ],
)
def test_what_is_granted_is_allowed(asked: Act, rule: str) -> None:
    verdict = in_force(SMALL, base=BASE).decide(asked)
    assert (verdict.is_allowed, verdict.rule, verdict.reason) == (True, rule, "")


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        (act("start_process"), "grant 'alice': tools"),
        (act("provision_workspace", "bob"), "no grant"),
        (act("provision_workspace", tier=3), "privileged.max_tier"),
        (act("provision_workspace", image="alpine"), "grant 'alice': images"),
        (act("provision_workspace", kind="local"), "grant 'alice': local"),
        (act("provision_workspace", options=Options(template="js")), "grant 'alice': templates"),
        (act("provision_workspace", options=Options(home="any")), "grant 'alice': homes"),
        (act("provision_workspace", options=Options(runtime="any")), "grant 'alice': runtimes"),
        (act("provision_workspace", options=Options(folder="/srv/b")), "grant 'alice': roots"),
        (act("provision_workspace", options=Options(mounts={"/x": "/etc/passwd"})), "grant 'alice': roots"),
        (
            act("provision_workspace", options=Options(folder="/srv/a", access=Access.READ_WRITE)),
            "grant 'alice': access",
        ),
    ],
)
def test_what_is_not_granted_is_refused_by_the_line_that_would_have_to_say_it(asked: Act, rule: str) -> None:
    verdict = in_force(SMALL, base=BASE).decide(asked)
    assert (verdict.is_allowed, verdict.rule) == (False, rule)
    assert verdict.reason
    assert "\n" not in verdict.reason


@pytest.mark.parametrize(
    ("flags", "ceiling", "granted", "rule"),
    [(4, 2, 4, "privileged.max_tier"), (4, 4, 2, "grant 'alice': max_tier"), (2, 4, 4, "--max-tier")],
)
def test_the_first_of_those_who_withhold_a_tier_is_named(flags: int, ceiling: int, granted: int, rule: str) -> None:
    base = WorkspaceRules(max_tier=flags)
    policy = in_force(everything(max_tier=granted), base=base, max_tier=ceiling)
    assert policy.decide(act("provision_workspace", tier=3)).rule == rule


def test_for_reading_only_wins_over_every_grant() -> None:
    policy = in_force(everything(), is_read_only=True)
    verdict = policy.decide(act("start_process"))
    assert (verdict.is_allowed, verdict.rule) == (False, "read_only")
    assert policy.decide(act("read_output", is_read_only=True)).is_allowed


@pytest.mark.parametrize(
    ("scopes", "is_read_only", "rule"),
    [
        (frozenset({READ}), False, "scope ws:write"),
        (frozenset[str](), True, "scope ws:read"),
        (frozenset({READ}), True, "grant 'alice'"),
    ],
)
def test_a_token_is_good_for_its_scopes_only(scopes: frozenset[str], is_read_only: bool, rule: str) -> None:
    asked = Act(principal=Principal(id=act("x").principal.id, scopes=scopes), verb="x", is_read_only=is_read_only)
    assert in_force(everything()).decide(asked).rule == rule


@pytest.mark.parametrize(
    ("target", "tool"),
    [
        ("ws://containers", "list_containers"),
        ("ws://devcontainers", "list_containers"),
        ("ws://chats/c_1/containers", "list_containers"),
        ("ws://chats/c_1/processes", "list_processes"),
        ("ws://chats/c_1/processes/p_1/output?tail=10", "read_output"),
    ],
)
def test_an_address_is_granted_with_the_tool_that_shows_the_same(target: str, tool: str) -> None:
    asked = Act(principal=act("x").principal, verb="resources/read", target=target, is_read_only=True)
    assert in_force(everything(tools=(tool,))).decide(asked).is_allowed
    assert not in_force(everything(tools=("start_process",))).decide(asked).is_allowed


def test_what_is_about_no_tool_needs_a_grant_of_any_kind() -> None:
    listen = act("subscriptions/listen", is_read_only=True)
    assert in_force(everything(tools=())).decide(listen).is_allowed
    assert not in_force(everything("bob")).decide(listen).is_allowed


def test_dev_containers_are_granted_by_a_word_of_their_own() -> None:
    recreate = act("recreate_devcontainer")
    assert in_force(everything()).decide(recreate).is_allowed
    refused = in_force(everything(has_devcontainers=False)).decide(recreate)
    assert refused.rule == "grant 'alice': devcontainers"


def test_the_widest_policy_is_what_the_flags_say() -> None:
    rules = in_force(everything(), max_tier=4).rules_of(act("x").principal.id)
    assert rules == WIDEST
