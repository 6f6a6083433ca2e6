"""What a policy leaves of the flags' word: never more than both say, and never more for a narrower policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis.strategies import DrawFn, SearchStrategy, booleans, builds, composite, integers, lists, sampled_from
from support.policies import ALICE, BOB, WIDEST, everything
from support.soaked import IS_LONG

from ws_mcp.core.engine.model import Image
from ws_mcp.core.errors import WsError
from ws_mcp.core.ids import READ, WRITE, Principal, PrincipalId
from ws_mcp.core.policy.acts import Act, Transport
from ws_mcp.core.policy.decide import decide
from ws_mcp.core.policy.model import Grant, Policy
from ws_mcp.core.policy.narrowing import common, rules_for
from ws_mcp.core.workspaces.mounts import Access
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.edge.options import Options

EXAMPLES = 2000 if IS_LONG else 300
PATTERNS = ("*", "img", "img:1", "img:*", "reg.example/*/x", "img@sha256:" + "d" * 64)
IMAGES = ("img", "img:1", "img:2", "other:1", "reg.example/me/x", "img@sha256:" + "d" * 64, "docker.io/library/img:1")
PATHS = tuple(map(Path, ("/", "/srv", "/srv/a", "/srv/a/b", "/home/me")))
TOOLS = ("*", "list_*", "provision_workspace", "read_output", "recreate_devcontainer")
FOUND = Image(id="sha256:" + "a" * 64, tags=("img:1",), architecture="amd64", digests=("img@sha256:" + "d" * 64,))
MOVED = replace(FOUND, digests=("img@sha256:" + "e" * 64,))
TRANSPORTS = sampled_from(("stdio", "http"))
ACCESSES = sampled_from(Access)


def arguments(tier: int | None, image: str, kind: str, options: Options) -> dict[str, object]:
    """Of provision_workspace."""
    return {"tier": tier, "image": image, "kind": kind, "options": options}


def some(values: tuple[object, ...]) -> SearchStrategy[tuple[object, ...]]:
    return lists(sampled_from(values), max_size=3, unique=True).map(tuple)


GRANTS = builds(
    Grant,
    principal=sampled_from(("alice", "bob")),
    tools=some(TOOLS),
    max_tier=integers(1, 4),
    images=some(PATTERNS),
    may_pull=booleans(),
    roots=some(PATHS),
    access=ACCESSES,
    templates=some(("*", "py", "p*")),
    runtimes=some(("*", "go")),
    has_local=booleans(),
    has_devcontainers=booleans(),
    workspaces=sampled_from((None, 0, 3, 50)),
)
BASES = builds(
    WorkspaceRules,
    max_tier=integers(1, 4),
    may_pull=booleans(),
    roots=some(PATHS),
    templates=sampled_from(({}, {"py": Path("/t")}, {"py": Path("/t"), "js": Path("/u")})),
    runtimes=sampled_from(({}, {"go": "img:1"})),
    workspaces=sampled_from((1, 16)),
)
ACTS = builds(
    Act,
    principal=builds(
        Principal,
        id=sampled_from((ALICE, BOB)),
        scopes=sampled_from((frozenset[str](), frozenset({READ}), frozenset({READ, WRITE}))),
    ),
    verb=sampled_from(("provision_workspace", "list_processes", "recreate_devcontainer", "start_process")),
    is_read_only=booleans(),
    transport=TRANSPORTS,
    arguments=builds(
        arguments,
        sampled_from((None, 1, 2, 3, 4)),
        sampled_from(("", *IMAGES)),
        sampled_from(("auto", "local")),
        builds(
            Options,
            template=sampled_from((None, "py", "js")),
            runtime=sampled_from(("", "go")),
            folder=sampled_from((None, "/srv/a/x", "/etc")),
            access=ACCESSES,
        ),
    ),
)


@composite
def policies(draw: DrawFn) -> tuple[Policy, Policy]:
    """A policy, and one that is narrower in one thing."""
    grants = draw(lists(GRANTS, min_size=1, max_size=2, unique_by=lambda grant: grant.principal))
    wide = Policy(
        grants=tuple(grants),
        is_read_only=draw(booleans()),
        max_tier=draw(integers(2, 4)),
        has_privileged_http=draw(booleans()),
    )
    at = draw(integers(0, len(grants) - 1))
    narrower = draw(sampled_from((*OF_ALL, *(lambda policy, cut=cut: of_one(policy, at, cut) for cut in OF_A_GRANT))))
    return wide, narrower(wide)


def of_one(policy: Policy, at: int, cut: Callable[[Grant], Grant]) -> Policy:
    return replace(policy, grants=(*policy.grants[:at], cut(policy.grants[at]), *policy.grants[at + 1 :]))


OF_ALL: tuple[Callable[[Policy], Policy], ...] = (
    lambda policy: replace(policy, is_read_only=True),
    lambda policy: replace(policy, max_tier=max(2, policy.max_tier - 1)),
    lambda policy: replace(policy, has_privileged_http=False),
    lambda policy: replace(policy, grants=policy.grants[1:]),
)
OF_A_GRANT: tuple[Callable[[Grant], Grant], ...] = (
    lambda grant: replace(grant, tools=grant.tools[1:]),
    lambda grant: replace(grant, max_tier=max(1, grant.max_tier - 1)),
    lambda grant: replace(grant, images=grant.images[1:]),
    lambda grant: replace(grant, may_pull=False),
    lambda grant: replace(grant, roots=grant.roots[1:]),
    lambda grant: replace(grant, roots=tuple(root / "a" for root in grant.roots)),
    lambda grant: replace(grant, access=Access.NONE),
    lambda grant: replace(grant, access=min(grant.access, Access.READ_ONLY, key=list(Access).index)),
    lambda grant: replace(grant, templates=grant.templates[1:], runtimes=grant.runtimes[1:]),
    lambda grant: replace(grant, has_local=False, has_devcontainers=False),
    lambda grant: replace(grant, workspaces=0),
)


def is_within(narrow: WorkspaceRules, wide: WorkspaceRules) -> bool:
    """Whether nothing is allowed by one that the other does not allow."""

    def lets(rules: WorkspaceRules, name: str, image: Image) -> bool:
        try:
            rules.check_name(name)
            rules.check_image(name, image)
        except WsError:
            return False
        return True

    order = list(Access).index
    return (
        narrow.max_tier <= wide.max_tier
        and narrow.may_pull <= wide.may_pull
        and all(any(root.is_relative_to(each) for each in wide.roots) for root in narrow.roots)
        and order(narrow.access) <= order(wide.access)
        and narrow.templates.items() <= wide.templates.items()
        and narrow.runtimes.items() <= wide.runtimes.items()
        and narrow.workspaces <= wide.workspaces
        and narrow.has_local <= wide.has_local
        and narrow.has_devcontainers <= wide.has_devcontainers
        and all(lets(wide, name, image) for name in IMAGES for image in (FOUND, MOVED) if lets(narrow, name, image))
    )


@settings(max_examples=EXAMPLES)
@given(pair=policies(), base=BASES, who=sampled_from((ALICE, BOB)), transport=TRANSPORTS)
def test_a_narrower_policy_never_leaves_more(
    pair: tuple[Policy, Policy], base: WorkspaceRules, who: PrincipalId, transport: Transport
) -> None:
    wide, narrow = (rules_for(base, policy, who, transport) for policy in pair)
    assert is_within(narrow, wide)
    assert is_within(wide, base)


@settings(max_examples=EXAMPLES)
@given(pair=policies(), base=BASES, asked=ACTS)
def test_a_narrower_policy_never_allows_an_act_more(
    pair: tuple[Policy, Policy], base: WorkspaceRules, asked: Act
) -> None:
    wide, narrow = (
        decide(asked, policy, rules_for(base, policy, asked.principal.id, asked.transport)).is_allowed
        for policy in pair
    )
    assert narrow <= wide


@settings(max_examples=EXAMPLES)
@given(pair=policies(), base=BASES, asked=ACTS)
def test_narrower_flags_never_allow_an_act_more(pair: tuple[Policy, Policy], base: WorkspaceRules, asked: Act) -> None:
    policy = pair[0]
    less = replace(base, max_tier=1, roots=base.roots[1:], templates={}, runtimes={})
    wide, narrow = (
        decide(asked, policy, rules_for(rules, policy, asked.principal.id, asked.transport)).is_allowed
        for rules in (base, less)
    )
    assert narrow <= wide


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (["/"], ["/srv/a"], ["/srv/a"]),
        (["/srv"], ["/srv/a", "/home"], ["/srv/a"]),
        (["/srv/a"], ["/srv"], ["/srv/a"]),
        (["/srv/a"], ["/srv/ab"], []),
        ([], ["/"], []),
    ],
)
def test_the_roots_of_flags_and_policy_are_those_below_both(
    first: list[str], second: list[str], both: list[str]
) -> None:
    assert common(map(Path, first), list(map(Path, second))) == tuple(map(Path, both))


def test_whoever_has_a_grant_has_that_one_and_not_everybodys() -> None:
    policy = Policy(grants=(everything("*"), everything("alice", max_tier=1, templates=())))
    assert rules_for(WIDEST, policy, ALICE, "stdio").max_tier == 1
    assert rules_for(WIDEST, policy, BOB, "stdio").max_tier == 2


def test_whom_nobody_names_has_nothing() -> None:
    rules = rules_for(WIDEST, Policy(grants=(everything(),)), BOB, "stdio")
    assert (rules.max_tier, rules.images, rules.roots, rules.has_local) == (1, (), (), False)
    assert (rules.may_pull, rules.has_devcontainers, rules.templates) == (False, False, {})
