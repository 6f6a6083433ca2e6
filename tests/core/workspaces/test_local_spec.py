"""What a local workspace was asked for, compared, and what it cannot have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import WorkspaceName
from ws_mcp.core.workspaces.local_spec import check_local, differences, spec_label
from ws_mcp.core.workspaces.model import Content, Probe, Sizes, WorkspaceKind, WorkspaceSpec
from ws_mcp.core.workspaces.mounts import Access

MAIN = WorkspaceName("main")
PLAIN = WorkspaceSpec(name=MAIN, kind=WorkspaceKind.LOCAL, tier=2, environment={"A": "1"}, has_volume=True)


def test_differences_of_specs_are_named_and_values_of_the_environment_are_not() -> None:
    one = WorkspaceSpec(name=MAIN, kind=WorkspaceKind.LOCAL, tier=2, environment={"TOKEN": "s3cret"})
    two = WorkspaceSpec(name=MAIN, kind=WorkspaceKind.LOCAL, tier=1, environment={})
    found = differences(spec_label(one), spec_label(two))
    assert found == ("the environment differs", "tier is 1, not 2")
    assert "s3cret" not in spec_label(one)


def test_what_is_not_asked_for_does_not_differ() -> None:
    one = WorkspaceSpec(name=MAIN, kind=WorkspaceKind.LOCAL)
    two = WorkspaceSpec(name=MAIN, kind=WorkspaceKind.LOCAL, tier=1, environment={"A": "1"})
    assert differences(spec_label(one), spec_label(two)) == ()


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        (replace(PLAIN, ports=(80,)), "cannot publish ports"),
        (replace(PLAIN, image="x"), "image"),
        (replace(PLAIN, folder="/x"), "folder"),
        (replace(PLAIN, access=Access.NONE), "access"),
        (replace(PLAIN, mounts={"/x": "/y"}), "mounts"),
        (replace(PLAIN, network="own"), "network"),
        (replace(PLAIN, command=("x",)), "command"),
        (replace(PLAIN, user="x"), "user"),
        (replace(PLAIN, cwd="/"), "cwd"),
        (replace(PLAIN, restart="no"), "restart"),
        (replace(PLAIN, idle_stop_s=1), "idle_stop_s"),
        (replace(PLAIN, ready=Probe(tcp=1)), "ready"),
        (replace(PLAIN, sizes=Sizes(pids=1)), "limits"),
        (replace(PLAIN, content=Content(files={})), "files"),
        (replace(PLAIN, tier=3), "tier 1 or 2"),
    ],
)
def test_what_only_a_container_can_have_is_refused_by_name(wish: WorkspaceSpec, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        check_local(wish)
    check_local(PLAIN)
