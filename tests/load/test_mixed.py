"""Mixed work of four chats over both transports: each answer is as it must be, and nothing is left when it is over."""

from __future__ import annotations

import pytest

from tests.load.chores import counts
from tests.load.mixed import mix

ALWAYS = ("start_process", "read_output", "list_processes", "list_containers", "workspace_files", "write_input")


@pytest.mark.slow
def test_mixed_work_is_answered_right_and_leaves_nothing() -> None:
    done = mix(10, seed=1, warm_up=30, idle_s=0)
    assert done.wrong == []
    assert [watch.above for watch in done.watches] == [[], []]
    assert set(ALWAYS) <= set(counts(done.workers))
