"""The event log of the dev container CLI: progress, hooks, and the lines that are worth telling."""

from __future__ import annotations

import json
from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import DataObject, binary, data, integers, lists, sampled_from
from support.cli_recordings import NAMES, outcome_of, recording, told_of

from ws_mcp.core.devcontainers.cli_answer import result_of
from ws_mcp.core.devcontainers.cli_events import TAIL, EventLog
from ws_mcp.core.devcontainers.model import Phase
from ws_mcp.core.devcontainers.port import CliProgress, CliResult
from ws_mcp.core.host.command import Lines

ORDER = tuple(Phase)


def phases(name: str) -> list[Phase]:
    """The phases of a run, each once for as long as it lasts."""
    told = [progress.phase for progress in told_of(name)]
    return [phase for before, phase in pairwise([None, *told]) if phase is not before and phase is not None]


def heard(chunks: list[bytes], code: int = 0, stdout: bytes = b"") -> tuple[CliResult, list[CliProgress]]:
    log, told = EventLog(), list[CliProgress]()

    def hear(line: bytes) -> None:
        if progress := log.feed(line):
            told.append(progress)

    lines = Lines(hear)
    for chunk in chunks:
        lines.feed(chunk)
    lines.end()
    log.end()
    return result_of(stdout, code, log), told


def test_a_new_container_goes_through_its_phases_in_order() -> None:
    assert phases("up-image") == [
        Phase.INITIALIZE,
        Phase.CREATE,
        Phase.ON_CREATE,
        Phase.UPDATE_CONTENT,
        Phase.POST_CREATE,
        Phase.POST_START,
        Phase.POST_ATTACH,
    ]
    assert phases("up-dockerfile") == [Phase.RESOLVE, Phase.BUILD, Phase.CREATE]
    assert phases("compose-initialize") == [Phase.INITIALIZE, Phase.BUILD, Phase.CREATE]
    # It runs: nothing is created, and of the hooks one is for each time that somebody comes.
    assert phases("up-running")[-1] is Phase.POST_ATTACH
    assert Phase.CREATE not in phases("up-running")


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("build-dockerfile", ["step 1/6 (ARG", "step 5/6 (RUN echo three; sleep 0.5"]),
        ("build-dockerfile-buildkit", ["step 1/4 (FROM", "step 2/4 (RUN echo 1 >/a", "step 4/4 (RUN echo three"]),
        ("compose-build-fails", ["step 2/2 (RUN echo hello; exit 7"]),
    ],
)
def test_a_build_tells_its_steps_with_both_builders(name: str, steps: list[str]) -> None:
    details = [progress.detail for progress in told_of(name) if progress.phase is Phase.BUILD]
    for step in steps:
        assert any(detail.startswith(step) for detail in details), (step, details)


@pytest.mark.parametrize("name", NAMES)
def test_progress_never_goes_back(name: str) -> None:
    for before, after in pairwise(told_of(name)):
        assert ORDER.index(before.phase) <= ORDER.index(after.phase)
        assert before.fraction <= after.fraction <= 1
        assert before.is_reading_files <= after.is_reading_files
        assert before != after or after.lines


@pytest.mark.parametrize("name", NAMES)
def test_each_line_for_a_reader_is_told_once_in_order(name: str) -> None:
    log = EventLog()
    told = [progress.lines for line in recording(name).stderr.split(b"\n") if (progress := log.feed(line))]
    lines = [*chain.from_iterable(told), *log.end().lines]
    assert lines[-40:] == list(log.tail)
    assert log.end().lines == ()


@pytest.mark.parametrize("name", ["compose-initialize", "dockerfile-initialize", "up-image"])
def test_files_are_read_after_the_initialize_command_and_before_anything_is_made(name: str) -> None:
    first = next(progress for progress in told_of(name) if progress.is_reading_files)
    assert first.phase is Phase.INITIALIZE
    assert not any(p.is_reading_files for p in told_of(name) if p.phase is Phase.RESOLVE)


def test_hooks_are_told_with_their_times() -> None:
    hooks = outcome_of("up-image").hooks
    assert [hook.name for hook in hooks] == [
        "initializeCommand",
        "onCreateCommand",
        "updateContentCommand",
        "postCreateCommand",
        "postStartCommand",
        "postAttachCommand",
    ]
    assert all(hook.is_ok and 0 < hook.duration_s < 1 for hook in hooks)


@pytest.mark.parametrize(
    ("name", "hook"),
    [
        ("on-create-fails", "onCreateCommand"),
        ("parallel-hook-fails", "postCreateCommand"),
        ("hook-is-killed", "postStartCommand"),
        ("initialize-fails", "initializeCommand"),
    ],
)
def test_a_hook_that_failed_did_not_go_well(name: str, hook: str) -> None:
    (found,) = outcome_of(name).hooks
    assert (found.name, found.is_ok) == (hook, False)


def test_a_hook_that_was_cut_short_did_not_go_well() -> None:
    lines = recording("up-image").stderr.split(b"\n")
    cut = next(n for n, line in enumerate(lines) if b"Running postStartCommand..." in line)
    result, _ = heard([b"\n".join(lines[: cut + 1])])
    assert [(h.name, h.is_ok) for h in result.hooks][-2:] == [("postCreateCommand", True), ("postStartCommand", False)]


def test_what_hooks_wrote_is_in_the_tail() -> None:
    heading, *lines = outcome_of("on-create-fails").tail
    assert heading == "Running the onCreateCommand from devcontainer.json..."
    assert {"working", "cannot do it"} <= set(lines)
    assert "some error" in outcome_of("up-image").tail


@pytest.mark.parametrize("name", NAMES)
def test_the_tail_is_for_a_reader(name: str) -> None:
    tail = outcome_of(name).tail
    assert len(tail) <= TAIL
    for line in tail:
        assert line.isprintable()
        assert line.strip()
        assert not line.startswith(("at ", "{", "Run: "))
        assert "devcontainercli" not in line
        assert len(line) <= 400


@pytest.mark.parametrize("name", ["bad-run-with-environment", "compose-initialize", "dockerfile-initialize"])
def test_values_of_the_environment_leave_by_no_way(name: str) -> None:
    found = recording(name)
    assert b"hunter2" in found.stderr
    result = outcome_of(name)
    told = [(progress.detail, progress.phase) for progress in told_of(name)]
    assert "hunter2" not in repr((result.tail, result.reason, result.warnings, result.hooks, told))


def test_the_environment_that_a_failed_probe_dumps_is_not_kept() -> None:
    dump = (
        b"{\n  message: 'Command in container failed: cat /proc/self/environ',\n  stdout: 'TOKEN=hunter2',\n}\nwords\n"
    )
    stack = b"Error: no\n    at x (y.js:1:2) {\n  cmdOutput: 'TOKEN=hunter2'\n}\nmore words\n"
    low = json.dumps({"type": "text", "level": 2, "timestamp": 1, "text": "TOKEN=hunter2"}).encode() + b"\n"
    result, _ = heard([dump, stack, low])
    assert result.tail == ("words", "Error: no", "more words")


def test_a_line_that_has_no_end_is_kept_all_the_same() -> None:
    raw = {"type": "raw", "level": 3, "timestamp": 1}
    parts = [
        json.dumps({**raw, "text": text, **more}) for text, more in (("wo", {}), ("rds", {}), ("x", {"channel": "c"}))
    ]
    assert heard(["\n".join(parts).encode()])[0].tail == ("words", "x")
    stop = json.dumps({"type": "stop", "level": 3, "timestamp": 1, "text": "Run: x"})
    assert heard(["\n".join([parts[0], stop, stop, parts[1]]).encode()])[0].tail == ("wo", "rds")


def test_odd_hooks_are_told_of_no_more_than_they_are() -> None:
    def told(name: str, status: str) -> str:
        return json.dumps({"type": "progress", "name": name, "status": status, "channel": "postCreate"})

    hook = "Running onCreateCommand..."
    odd = [told("Running dotfiles...", "running"), told("step", "succeeded"), told(hook, "succeeded")]
    many = [told(hook, status) for _ in range(150) for status in ("running", "succeeded")]
    assert heard(["\n".join(odd).encode()])[0].hooks == ()
    assert len(heard(["\n".join(many).encode()])[0].hooks) == 100


def test_a_missing_gpu_is_a_warning() -> None:
    (warning,) = outcome_of("gpu-required").warnings
    assert "GPU" in warning


def test_the_answer_is_the_last_line_that_is_one() -> None:
    noise = b'{"outcome":"success","containerId":"old"}\n(node:1) Warning: something\n'
    answer = b'{"outcome":"success","containerId":"c1","remoteUser":"dev","remoteWorkspaceFolder":"/w"}\n{}\n{"cut'
    result, _ = heard([], stdout=noise + answer)
    assert (result.container, result.user, result.path) == ("c1", "dev", "/w")


def test_a_container_that_was_made_is_known_although_a_hook_failed() -> None:
    assert len(outcome_of("on-create-fails").container or "") == 64
    assert outcome_of("build-fails").container is None


def test_a_compose_project_has_its_name() -> None:
    result = outcome_of("up-compose")
    assert (result.project, result.path, result.user) == ("shop_devcontainer", "/workspace", "root")
    assert result.merged
    assert result.merged["service"] == "app"


@given(data=data(), name=sampled_from(NAMES))
def test_a_log_reads_the_same_however_its_bytes_are_cut(data: DataObject, name: str) -> None:
    found = recording(name)
    cuts = sorted(data.draw(lists(integers(0, len(found.stderr)), max_size=8)))
    chunks = [found.stderr[a:b] for a, b in pairwise([0, *cuts, len(found.stderr)])]
    assert heard(chunks, found.code, found.stdout) == heard([found.stderr], found.code, found.stdout)


@given(chunks=lists(binary(max_size=60) | sampled_from([b'{"type":', b'"text"', b"\n", b"}", b"[" * 5000]), max_size=8))
def test_garbage_is_only_text(chunks: list[bytes]) -> None:
    result, _ = heard(chunks, 1, b"".join(chunks))
    assert result.reason
    assert len(result.tail) <= TAIL


@given(data=data(), name=sampled_from(NAMES))
def test_a_damaged_log_never_fails(data: DataObject, name: str) -> None:
    lines = recording(name).stderr.split(b"\n")
    odd = [
        b'{"type":"raw","level":"x"}',
        b'{"type":"progress"}',
        b'{"type":"start","text":[]}',
        b"{",
        b"Error: Command failed: x",
    ]
    at = data.draw(integers(0, len(lines)))
    line = data.draw(sampled_from(odd) | binary(max_size=30))
    heard([b"\n".join([*lines[:at], line, *lines[at:]])], 1)
