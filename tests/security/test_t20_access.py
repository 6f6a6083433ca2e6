"""T20: access, folder and tier that do not fit are an error that says what to change; nothing is degraded silently."""

from __future__ import annotations

import itertools
import re

import pytest

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.workspaces.mounts import MATRIX, Access, Mismatch, Storage, plan_storage

NONE, READ_ONLY, READ_WRITE = Access.NONE, Access.READ_ONLY, Access.READ_WRITE
# Access, whether a folder is given, tier, and what is at /workspace then or what the error says to do.
GRID: list[tuple[Access, bool, int, Storage | str]] = [
    (NONE, False, 1, Storage.LAYER),
    (NONE, False, 2, Storage.LAYER),
    (NONE, False, 3, Storage.LAYER),
    (NONE, False, 4, Storage.LAYER),
    (NONE, True, 1, "access 'none' gives no folder: leave the folder out"),
    (NONE, True, 2, "access 'none' gives no folder: leave the folder out"),
    (NONE, True, 3, "access 'none' gives no folder: leave the folder out"),
    (NONE, True, 4, "access 'none' gives no folder: leave the folder out"),
    (READ_ONLY, False, 1, "access 'read_only' needs a folder"),
    (READ_ONLY, False, 2, "access 'read_only' needs a folder"),
    (READ_ONLY, False, 3, "access 'read_only' needs a folder"),
    (READ_ONLY, False, 4, "access 'read_only' needs a folder"),
    (READ_ONLY, True, 1, "tier 1 has no folder of the host; leave the folder out, or use tier 2"),
    (READ_ONLY, True, 2, Storage.FOLDER),
    (READ_ONLY, True, 3, Storage.FOLDER),
    (READ_ONLY, True, 4, Storage.FOLDER),
    (READ_WRITE, False, 1, Storage.VOLUME),
    (READ_WRITE, False, 2, Storage.VOLUME),
    (READ_WRITE, False, 3, Storage.VOLUME),
    (READ_WRITE, False, 4, Storage.VOLUME),
    (READ_WRITE, True, 1, "tier 1 has no folder of the host; leave the folder out, or use tier 2"),
    (READ_WRITE, True, 2, Storage.FOLDER),
    (READ_WRITE, True, 3, Storage.FOLDER),
    (READ_WRITE, True, 4, Storage.FOLDER),
]


@pytest.mark.parametrize(("access", "has_folder", "tier", "expected"), GRID)
def test_access_folder_and_tier_fit_or_are_refused(
    access: Access, has_folder: bool, tier: int, expected: Storage | str
) -> None:
    if isinstance(expected, Storage):
        plan = plan_storage(access, has_folder=has_folder, has_volume=None, tier=tier)
        assert (plan.storage, plan.access) == (expected, access)
        return
    with pytest.raises(InvalidArgumentError, match=re.escape(expected)):
        plan_storage(access, has_folder=has_folder, has_volume=None, tier=tier)


def test_the_grid_is_whole() -> None:
    assert [row[:3] for row in GRID] == list(itertools.product(Access, (False, True), (1, 2, 3, 4)))


def test_the_matrix_is_whole_and_every_mismatch_is_in_it() -> None:
    wishes = [None, *Access]
    assert set(MATRIX) == set(itertools.product(wishes, (False, True), (None, True, False)))
    outcomes = {outcome for row in MATRIX.values() for outcome in row}
    assert outcomes == {*Storage, *Mismatch}


@pytest.mark.parametrize("tier", [1, 2, 3, 4])
def test_a_folder_is_never_given_with_access_that_nobody_asked_for(tier: int) -> None:
    with pytest.raises(InvalidArgumentError, match=r"a folder needs access|tier 1 has no folder"):
        plan_storage(None, has_folder=True, has_volume=None, tier=tier)


def test_a_folder_is_never_mounted_at_tier_1() -> None:
    assert all(tier_1 is not Storage.FOLDER for tier_1, _ in MATRIX.values())


@pytest.mark.parametrize("tier", [2, 3, 4])
@pytest.mark.parametrize("access", [None, READ_ONLY, READ_WRITE])
def test_a_folder_and_a_volume_cannot_both_be_there(access: Access | None, tier: int) -> None:
    with pytest.raises(InvalidArgumentError, match="a folder and a volume cannot both be at /workspace"):
        plan_storage(access, has_folder=True, has_volume=True, tier=tier)


@pytest.mark.parametrize("message", Mismatch)
def test_every_mismatch_says_what_to_change(message: Mismatch) -> None:
    assert re.search(r"leave .* out|name (one|a folder)", message.value)
    assert "\n" not in message.value
