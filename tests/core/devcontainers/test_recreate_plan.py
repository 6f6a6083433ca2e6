"""What a recreate comes to, and the commands that it runs."""

from __future__ import annotations

import pytest
from support.fake_definitions import definition_of, key_of

from ws_mcp.core.devcontainers.model import DevContainer, Freshness, Kind, RecreateAsk, Status, Verdict
from ws_mcp.core.devcontainers.port import Fingerprint
from ws_mcp.core.devcontainers.recreate_plan import (
    Change,
    Plan,
    commands_of,
    is_same_files,
    mounts_of,
    plan_recreate,
    runs_of,
    with_execd,
)
from ws_mcp.core.ids import ContainerId

SHOP = key_of("shop")
CLEAN, DIRTY = (
    Verdict(freshness=Freshness.CLEAN),
    Verdict(freshness=Freshness.DIRTY, reasons=("Dockerfile changed",)),
)
UNKNOWN = Verdict(freshness=Freshness.UNKNOWN)
ASK, FORCE, NO_CACHE = RecreateAsk(), RecreateAsk(force=True), RecreateAsk(no_cache=True)


@pytest.mark.parametrize(
    ("status", "verdict", "is_complete", "ask", "change"),
    [
        (Status.RUNNING, CLEAN, True, ASK, Change.NOTHING),
        (Status.STOPPED, CLEAN, True, ASK, Change.START),
        (Status.PAUSED, CLEAN, True, ASK, Change.START),
        (Status.RUNNING, DIRTY, True, ASK, Change.RECREATE),
        (Status.STOPPED, DIRTY, True, ASK, Change.RECREATE),
        (Status.RUNNING, UNKNOWN, True, ASK, Change.RECREATE),
        (Status.RUNNING, CLEAN, False, ASK, Change.RECREATE),
        (Status.RUNNING, CLEAN, True, FORCE, Change.RECREATE),
        (Status.RUNNING, CLEAN, True, NO_CACHE, Change.RECREATE),
        (Status.STOPPED, CLEAN, True, FORCE, Change.RECREATE),
    ],
)
def test_the_least_that_makes_it_as_its_definition_says(
    status: Status, verdict: Verdict, is_complete: bool, ask: RecreateAsk, change: Change
) -> None:
    found = DevContainer(
        key=SHOP, name="shop", status=status, container=ContainerId("a" * 64), verdict=verdict, is_complete=is_complete
    )
    plan = plan_recreate(found, ask)
    assert plan.change is change
    assert bool(plan.reasons) is (change is Change.RECREATE)


def test_one_without_a_container_is_made() -> None:
    assert plan_recreate(DevContainer(key=SHOP, name="shop", status=Status.ERROR), ASK).change is Change.CREATE


@pytest.mark.parametrize(
    ("value", "commands"),
    [
        (None, ()),
        ("", ()),
        ("  ", ()),
        ([], ()),
        ({}, ()),
        (7, ()),
        ("make && x", ("make && x",)),
        (["make", "a b"], ("make 'a b'",)),
        ({"one": "make", "two": ["x", "y z"], "none": ""}, ("make", "x 'y z'")),
    ],
)
def test_each_form_of_a_lifecycle_command_is_said(value: object, commands: tuple[str, ...]) -> None:
    assert commands_of(value) == commands


def test_what_runs_on_this_machine_is_said_in_its_order() -> None:
    definition = definition_of(SHOP, '{"image": "img:1", "initializeCommand": "make .env"}')
    runs = runs_of(Plan(change=Change.RECREATE), definition)
    assert [run.partition(" --")[0] for run in runs] == [
        "devcontainer build",
        "initializeCommand: make .env",
        "devcontainer up",
    ]
    assert runs_of(Plan(change=Change.NOTHING), definition) == ()
    assert len(runs_of(Plan(change=Change.CREATE), definition)) == 2
    assert "--expect-existing-container" in runs_of(Plan(change=Change.START), definition)[-1]


def test_execd_is_mounted_so_that_the_container_cannot_change_it() -> None:
    image = definition_of(SHOP, '{"image": "img:1", "runArgs": ["--init"]}')
    assert with_execd(image, "vol")["runArgs"] == [
        "--init",
        "--mount",
        "type=volume,source=vol,target=/.ws-mcp,readonly",
    ]
    assert mounts_of(image, "vol") == ()
    compose = definition_of(SHOP, '{"dockerComposeFile": "compose.yaml", "service": "app"}')
    assert compose.kind is Kind.COMPOSE
    assert with_execd(compose, "vol") == compose.properties
    assert mounts_of(compose, "vol") == ("type=volume,source=vol,target=/.ws-mcp:ro,external=true",)
    assert with_execd(image, "") == image.properties
    assert mounts_of(compose, "") == ()


def test_what_the_build_writes_itself_is_no_change_of_its_files() -> None:
    before = Fingerprint(parts={"ctx/a": "1", "lock/x": "1", "image/i": "1"})
    assert is_same_files(before, Fingerprint(parts={"ctx/a": "1", "lock/x": "2"}))
    assert not is_same_files(before, Fingerprint(parts={"ctx/a": "2", "lock/x": "1"}))
