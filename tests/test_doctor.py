"""What doctor makes of engines that this machine does not have."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.fake_world import INFO

from ws_mcp import doctor
from ws_mcp.console import Mark
from ws_mcp.core.engine.model import EngineInfo
from ws_mcp.doctor import Fact

NEW = replace(INFO, version="29.5.1")


def facts_of(info: EngineInfo) -> list[Fact]:
    return [*doctor._age(info), *doctor._limits(info), *doctor._restarts(info)]


def test_a_new_engine_with_live_restore_gives_no_advice() -> None:
    assert [fact.advice for fact in facts_of(NEW) if fact.mark is not Mark.OK] == []


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (replace(NEW, version="20.10.24+dfsg1"), "29.5.1 has it fixed"),
        (replace(NEW, kind="podman", version="4.3.1"), "6.1.2 has it fixed"),
        (replace(NEW, is_rootless=True, cgroup_version="1"), "use cgroup v2"),
        (replace(NEW, security_options=()), "without seccomp"),
        (replace(NEW, has_live_restore=False), "live-restore"),
    ],
    ids=["old docker", "old podman", "limits do not hold", "no seccomp", "no live-restore"],
)
def test_an_engine_that_is_not_as_it_should_be_gets_one_piece_of_advice(info: EngineInfo, words: str) -> None:
    (advice,) = [fact.advice for fact in facts_of(info) if fact.mark is Mark.WARN]
    assert words in advice


def test_podman_needs_no_live_restore() -> None:
    assert doctor._restarts(replace(NEW, kind="podman", has_live_restore=False)) == []
