"""The policy that counts: the last whole one, until a new one is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.policies import ALICE, WIDEST, act, everything, in_force, written

from ws_mcp.core.errors import PolicyError
from ws_mcp.core.policy import in_force as module
from ws_mcp.core.policy.file import read_policy
from ws_mcp.core.policy.in_force import PolicyInForce

GRANT = '[[grant]]\nprincipal = "alice"\ntools = ["*"]\nmax_tier = {}\n'


async def test_a_new_policy_counts_from_when_it_was_read(tmp_path: Path, real_io_both: None) -> None:
    file = written(tmp_path / "p.toml", GRANT.format(2))
    policy = PolicyInForce(lambda: read_policy(file), WIDEST, "stdio")
    assert policy.rules_of(ALICE).max_tier == 2
    written(file, GRANT.format(1))
    assert policy.rules_of(ALICE).max_tier == 2
    await policy.reload()
    assert (policy.rules_of(ALICE).max_tier, policy.problem) == (1, "")
    assert not policy.decide(act("provision_workspace", tier=2)).is_allowed


@pytest.mark.parametrize("bad", ["[[", "unknown = 1", GRANT.format(9)])
async def test_a_bad_one_keeps_the_one_before_and_is_told(tmp_path: Path, real_io_both: None, bad: str) -> None:
    file = written(tmp_path / "p.toml", GRANT.format(1))
    policy = PolicyInForce(lambda: read_policy(file), WIDEST, "stdio")
    written(file, bad)
    await policy.reload()
    assert policy.rules_of(ALICE).max_tier == 1
    assert str(file) in policy.problem
    written(file, GRANT.format(2))
    await policy.reload()
    assert (policy.rules_of(ALICE).max_tier, policy.problem) == (2, "")


def test_a_server_does_not_begin_with_a_bad_one(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be opened"):
        PolicyInForce(lambda: read_policy(tmp_path / "none"), WIDEST, "stdio")


async def test_the_flag_for_reading_only_outlasts_every_reload(tmp_path: Path, real_io_both: None) -> None:
    file = written(tmp_path / "p.toml", GRANT.format(1))
    policy = PolicyInForce(lambda: read_policy(file), WIDEST, "stdio", is_read_only=True)
    await policy.reload()
    assert policy.decide(act("start_process")).rule == "read_only"


async def test_who_listens_hears_when_who_may_call_what_changes_and_of_nothing_else(
    tmp_path: Path, real_io_both: None
) -> None:
    file = written(tmp_path / "p.toml", GRANT.format(2))
    policy, heard = PolicyInForce(lambda: read_policy(file), WIDEST, "stdio"), list[bool]()

    async def hear() -> None:
        heard.append(policy.policy.is_read_only)

    policy.listen(hear)
    for text in (GRANT.format(2), 'confirm = "always"\n[limits]\n' + GRANT.format(2), "[["):
        written(file, text)
        await policy.reload()
    assert heard == []
    for text in (GRANT.format(1), "read_only = true\n" + GRANT.format(1)):
        written(file, text)
        await policy.reload()
    assert heard == [False, True]


def test_rules_are_remembered_for_a_bounded_number_of_principals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_RULES", 2)
    policy = in_force(everything("*"))
    names = ["a", "b", "c", "a"]
    assert all(policy.decide(act("start_process", name)).is_allowed for name in names)
    assert len(policy._rules) == 2
