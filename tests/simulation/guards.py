"""Every guard that the simulation notices the lack of: who takes it away, and by what its lack is seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from simulation import guards_processes as processes
from simulation import guards_workspaces as workspaces
from simulation import scenes_chats as chats
from simulation import scenes_processes as at_processes
from simulation import scenes_time as times
from simulation import scenes_workspaces as at_workspaces
from simulation.scene import Play

Removal = Callable[[pytest.MonkeyPatch], None]

# With the seed of a random run that noticed when this was written.
BY_CHANCE: tuple[tuple[Removal, int], ...] = (
    (workspaces.signature, 0),
    (workspaces.look_from_time_to_time, 0),
    (workspaces.what_a_change_leaves_is_removed, 0),
)
# With the scene that notices.
BY_SCENE: tuple[tuple[Removal, Play], ...] = (
    (workspaces.signature_of_a_volume, at_workspaces.somebody_has_a_volume_of_our_name),
    (workspaces.lock_of_a_place, at_workspaces.two_servers_make_one_workspace),
    (workspaces.lock_before_a_repair, at_workspaces.a_server_starts_while_another_makes_a_workspace),
    (workspaces.grace_and_lock_before_a_sweep, at_workspaces.a_stopped_workspace_is_read_through_a_container),
    (workspaces.intent_before_the_effect, at_workspaces.a_server_dies_between_the_two_renames),
    (workspaces.intent_of_a_removal, at_workspaces.a_removal_is_cut_short),
    (workspaces.a_refused_removal_is_over, at_workspaces.a_removal_is_refused),
    (workspaces.repair, at_workspaces.a_server_dies_between_the_two_renames),
    (workspaces.undoing_before_the_end, at_workspaces.a_server_is_told_to_end_in_the_middle),
    (workspaces.old_one_is_taken_back, at_workspaces.making_it_anew_fails),
    (workspaces.whole_ones_keep_their_secrets, at_workspaces.making_it_anew_fails),
    (workspaces.only_what_was_made_is_undone, at_workspaces.making_it_again_over_its_data_fails),
    (workspaces.engine_error_is_no_answer, at_workspaces.the_engine_hides_a_container),
    (workspaces.a_list_that_fails_ends_the_sweep, at_workspaces.the_list_of_the_engine_fails),
    (workspaces.a_failed_look_removes_nothing, at_workspaces.the_list_of_the_engine_fails),
    (workspaces.nothing_follows_from_no_chats, at_workspaces.the_state_has_lost_its_chats),
    (workspaces.who_changes_something_looks, at_workspaces.who_changed_something_looks),
    (workspaces.nothing_is_closed_unseen, at_workspaces.a_chat_is_closed_while_nobody_knows),
    (workspaces.request_key_of_a_provision, at_workspaces.a_request_key_is_used_for_another_wish),
    (workspaces.only_equal_calls_share_a_job, at_workspaces.two_ask_for_different_things_at_once),
    (workspaces.number_of_workspaces, at_workspaces.more_workspaces_than_there_may_be),
    (workspaces.grant_of_a_tier, at_workspaces.a_tier_is_asked_for_that_is_not_granted),
    (workspaces.what_runs_is_not_idle, at_workspaces.a_process_runs_in_what_is_to_stop_when_idle),
    (workspaces.wall_between_chats, chats.two_chats_list_what_they_have),
    (processes.receipt_of_a_start, at_processes.a_key_is_used_again_when_its_process_is_forgotten),
    (processes.confirmation_of_a_start, at_processes.a_key_is_used_again_when_its_process_is_forgotten),
    (processes.boot_of_a_start, at_processes.a_key_is_used_again_when_its_workspace_restarted),
    (processes.digest_of_a_start, at_processes.a_key_is_used_for_another_command),
    (processes.number_of_processes, at_processes.a_chat_starts_more_than_it_may),
    (processes.input_goes_once, at_processes.the_answer_to_input_is_lost),
    (processes.a_look_is_repeated, at_processes.a_connection_breaks_at_a_look),
    (processes.deadline_of_a_request, at_processes.an_execd_says_nothing),
    (processes.a_look_before_gone_is_said, at_processes.events_of_a_start_behind_our_back_are_lost),
    (processes.wall_between_principals, chats.somebody_has_the_handle_of_another),
    (processes.owner_of_a_ticket, chats.somebody_has_the_ticket_of_another),
    (processes.seal_of_an_answer, chats.the_state_is_read_by_who_has_no_ticket),
    (processes.server_of_a_ticket, chats.a_server_dies_whose_ticket_somebody_has),
    (processes.ages_beside_the_wall_clock, times.a_key_is_used_again_after_jumps),
    (processes.ages_beside_the_wall_clock, times.a_ticket_is_asked_for_after_jumps),
    (processes.ages_beside_the_wall_clock, times.a_chat_is_used_again_after_jumps),
    (workspaces.a_moment_that_can_be, times.a_workspace_is_idle_while_the_clock_jumps),
    (processes.policy_before_a_bad_one, chats.a_policy_is_read_again_and_bad),
)
SCENES: tuple[Play, ...] = tuple(
    dict.fromkeys((*(scene for _, scene in BY_SCENE), at_processes.two_servers_start_under_one_key))
)
