from __future__ import annotations

from datetime import UTC, datetime

from ws_mcp.core.ids import PlaceId, ProcessId, WorkspaceName
from ws_mcp.core.processes.model import OutputRange, ProcessInfo, ProcessState
from ws_mcp.core.processes.roster import KEEP_ENDED, Roster

PLACE = PlaceId("w_1")


def info(number: int, place: str = "w_1", state: ProcessState = ProcessState.RUNNING) -> ProcessInfo:
    return ProcessInfo(
        process=ProcessId(f"p_{number}"),
        workspace=WorkspaceName("main"),
        place=PlaceId(place),
        command="true",
        cwd="",
        state=state,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        out=OutputRange(end=30, head_end=10, tail_start=20),
        err=OutputRange(end=3, head_end=3, tail_start=3),
        has_stdin=True,
    )


def test_only_so_many_are_remembered_the_least_recently_seen_go_first() -> None:
    roster = Roster(limit=2, lost_limit=9)
    for number in (1, 2, 1, 3):
        roster.note(info(number), "b1")
    assert roster.find(ProcessId("p_2")) is None
    assert roster.find(ProcessId("p_1")) is not None
    assert roster.find(ProcessId("p_3")) is not None


def test_many_that_ended_do_not_push_out_one_that_runs() -> None:
    roster = Roster(limit=2000, lost_limit=9)
    roster.note(info(0), "b1")
    for number in range(1, KEEP_ENDED + 3):
        roster.note(info(number, state=ProcessState.ENDED), "b1")
    assert [roster.find(ProcessId(f"p_{number}")) is not None for number in (0, 1, 2, 3)] == [True, False, False, True]


def test_only_so_many_lost_ones_are_kept() -> None:
    roster = Roster(limit=9, lost_limit=2)
    for number in (1, 2, 3):
        roster.note(info(number), "b1")
    roster.gone(PLACE, "it stopped")
    assert [lost.process for lost in roster.lost()] == ["p_2", "p_3"]
    assert roster.find(ProcessId("p_1")) is None


def test_another_boot_loses_what_ran_in_the_former_one_only() -> None:
    roster = Roster(limit=9, lost_limit=9)
    roster.note(info(1), "b1")
    roster.note(info(3, place="w_2"), "b1")
    roster.note(info(4, state=ProcessState.ENDED), "b1")
    for _ in range(2):
        roster.sees(PLACE, "b2", "main")
        roster.note(info(2), "b2")
    assert [(lost.process, lost.lost_reason) for lost in roster.lost()] == [("p_1", "workspace 'main' restarted")]
    assert roster.find(ProcessId("p_2")) is not None
    assert roster.find(ProcessId("p_3")) is not None
    assert roster.find(ProcessId("p_4")) is None


def test_a_lost_process_has_no_output_any_more_but_its_count() -> None:
    roster = Roster(limit=9, lost_limit=9)
    roster.note(info(1), "b1")
    roster.gone(PLACE, "it stopped")
    lost = roster.lost_one(ProcessId("p_1"))
    assert lost is not None
    assert (lost.state, lost.out.end, lost.out.dropped, lost.has_stdin) == (ProcessState.LOST, 30, 30, False)
    assert lost.err is not None
    assert lost.err.dropped == 3


def test_a_place_cannot_take_over_the_process_of_another() -> None:
    roster = Roster(limit=9, lost_limit=9)
    roster.note(info(1), "b1")
    roster.note(info(1, place="w_2"), "b1")
    known = roster.find(ProcessId("p_1"))
    assert known is not None
    assert known.info.place == PLACE
