"""T10: a definition is code that somebody wrote; a folder comes from the operator, and nothing of it runs unasked.

The rows (a) to (e) as far as they can be said without the CLI.
"""

from __future__ import annotations

import json

import pytest
from support.devcontainer_values import ROOT, SHOP, container

from ws_mcp.core.devcontainers.allowances import Allowances, allowances_of, refusal_of
from ws_mcp.core.devcontainers.merged import check_container
from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.policy import check_definition, check_image, check_merged, checked_copy
from ws_mcp.core.devcontainers.sightings import Ground, sightings_of

ALLOWED = Allowances(roots=(ROOT,))


def test_a_label_that_names_a_folder_of_its_own_supplies_nothing() -> None:
    evil = Key(folder="/tmp/evil", config="/tmp/evil/.devcontainer/devcontainer.json")
    labels = {"devcontainer.local_folder": evil.folder, "devcontainer.config_file": evil.config}
    seen = sightings_of([container("evil", labels)], Ground(roots=(ROOT,), known=frozenset({SHOP})))
    assert seen == ()
    violations = check_definition(evil, {"image": "x", "initializeCommand": "touch /tmp/marker"}, ALLOWED)
    assert [each.subject for each in violations] == ["the folder", "the definition", "initializeCommand"]


def test_without_roots_nothing_is_allowed_at_all() -> None:
    assert check_definition(SHOP, {"image": "x"}, Allowances())
    assert sightings_of([container()], Ground(roots=())) == ()


def test_a_command_for_this_machine_is_refused_by_default_and_named() -> None:
    violations = check_definition(SHOP, {"image": "x", "initializeCommand": "touch /tmp/marker"}, ALLOWED)
    refusal = str(refusal_of("shop", violations))
    assert "touch /tmp/marker" in refusal
    assert "--devcontainer-allow initialize-command" in refusal


@pytest.mark.parametrize(
    "entry",
    [
        {"privileged": True},
        {"mounts": ["type=bind,source=/,target=/host"]},
        {"capAdd": ["SYS_ADMIN"]},
        {"securityOpt": ["apparmor=unconfined"]},
        {"initializeCommand": "touch /tmp/marker"},
        {"containerEnv": {"STOLEN": "${localEnv:SECRET}"}},
    ],
)
def test_a_base_image_that_asks_for_rights_is_refused_before_a_container_is_made(entry: dict[str, object]) -> None:
    label = {"devcontainer.metadata": json.dumps([{"remoteUser": "dev"}, entry])}
    assert check_image(SHOP, label, ALLOWED)


@pytest.mark.parametrize(
    "merged",
    [
        {"privileged": True},
        {"mounts": [{"type": "bind", "source": "/", "target": "/host"}]},
        {"capAdd": ["SYS_ADMIN"]},
        {"securityOpt": ["apparmor=unconfined"]},
        {"runArgs": ["--pid=host"]},
    ],
)
def test_what_is_merged_is_refused_by_the_same_rules(merged: dict[str, object]) -> None:
    assert check_merged(SHOP, merged, ALLOWED)


def test_what_was_made_is_looked_at_again() -> None:
    assert check_container(container(is_privileged=True), SHOP, ALLOWED)


def test_what_is_handed_over_is_what_was_checked_and_can_be_read_in_one_way_only() -> None:
    # Two members of one name, a comment and an escape are read differently by different readers.
    text = (
        '{"image": "x", /* "privileged": true */ "privileged": false, "\\u0069nitializeCommand": "touch /tmp/marker"}'
    )
    properties = json.loads(text.replace('/* "privileged": true */ ', ""))
    copy = checked_copy(properties)
    assert json.loads(copy, object_pairs_hook=lambda pairs: sorted(name for name, _ in pairs)) == sorted(properties)
    assert check_definition(SHOP, json.loads(copy), ALLOWED) == check_definition(SHOP, properties, ALLOWED) != ()
    assert "\\u" not in copy


@pytest.mark.parametrize(
    "variable", ["${localEnv:SECRET}", "${env:SECRET}", "${localEnv:SECRET:x}", "a${b${env:SECRET}"]
)
def test_the_environment_of_this_machine_is_not_read(variable: str) -> None:
    here = {"SECRET": "s3cret-value"}
    unlisted = allowances_of([], (ROOT,), here)
    violations = check_definition(SHOP, {"image": "x", "remoteEnv": {"A": ["b", {"c": variable}]}}, unlisted)
    assert violations
    listed = allowances_of(["local-env:SECRET"], (ROOT,), here)
    assert check_definition(SHOP, {"image": "x", "remoteEnv": {"A": "${localEnv:SECRET}"}}, listed) == ()
    assert "s3cret-value" not in str(refusal_of("shop", violations))
