"""Real hosts, each with a scripted model, do the main job: what the model is shown is complete, also after a timeout.

`make hosts` runs these; they are not in CI. What the model called and was shown is left in build/hosts.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hosts.model_server import ModelServer, open_model
from hosts.programs import PROGRAMS, Ground, Program
from hosts.script import Call, Play, Script
from support.images import BUSYBOX
from support.instances import open_instance
from support.real_engine import EngineGround
from support.server_process import open_http

from ws_mcp.server import INSTRUCTIONS

TRANSCRIPTS = Path(__file__).parents[2] / "build" / "hosts"
LOCAL = ("--engine", "none", "--allow-host-processes")
# Half a megabyte; every line says where it is.
FLOOD = "i=0; while [ $i -lt 10000 ]; do i=$((i+1)); printf '%048d\\n' $i; done; echo the end"
WRITTEN = "".join(f"{number:048d}\n" for number in range(1, 10_001)) + "the end\n"
LIMIT = 39_000
TIMEOUT_S = 10  # Gemini CLI gives up on the start after it, too
each_program = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)


@pytest.fixture(autouse=True)
def installed(program: Program) -> None:
    """The host is there: `make hosts` installs it."""
    if program.tool.missing:
        pytest.fail(program.tool.missing, pytrace=False)


def view(shown: str) -> dict[str, Any]:
    """A result with a structure, whatever the host puts around it."""
    return json.loads(shown[shown.index("{") : shown.rindex("}") + 1])


def process_of(started: str) -> str:
    """The id of a process, which is in both halves of the result."""
    found = re.search(r"p_[a-z0-9]{8}", started)
    assert found, started
    return found[0]


def here(directory: Path, *flags: str) -> Sequence[str]:
    """The flags for a server that the host starts itself."""
    return ("--state", str(directory / "state"), *flags)


def play(
    program: Program, script: Script, directory: Path, flags: Sequence[str], *, timeout_s: int = 0, token: str = ""
) -> ModelServer:
    """Run the host with a model that follows the script to its end and finds every tool; it asks nobody else."""
    with open_model(program.dialect, Play(script)) as model:
        home, project = directory / "home", directory / "project"
        ground = Ground(home=home, project=project, url=model.url, timeout_s=timeout_s, token=token)
        try:
            said = program.run(ground, flags)
        finally:
            note(program, f"{program.name}-{script.__name__}{'-http' if token else ''}", model)
    if model.play.failure is not None:
        raise model.play.failure
    assert model.play.is_done, said
    assert (model.strangers, model.unfound) == (set(), set())
    return model


def note(program: Program, name: str, model: ModelServer) -> None:
    """Keep what was called and shown, for a person."""
    TRANSCRIPTS.mkdir(parents=True, exist_ok=True)
    lines = [f"{program.tool.title} {program.version}"]
    for call, shown in zip(model.play.calls, model.play.shown, strict=False):
        lines += [f"> {call.tool}({json.dumps(call.arguments)})", f"  {len(shown)} characters", *excerpt(shown), ""]
    lines += [f"! asked for {stranger}, was refused" for stranger in sorted(model.strangers)]
    (TRANSCRIPTS / f"{name}.txt").write_text("\n".join(lines) + "\n")


def excerpt(shown: str) -> list[str]:
    """Its beginning and its end."""
    lines = [f"  {line[:300]}" for line in shown.splitlines()]
    return lines if len(lines) <= 8 else [*lines[:3], "  ...", *lines[-4:]]


def main_job() -> Generator[Call, str, None]:
    """Provision, start, read, list, signal, remove."""
    made = yield Call(tool="provision_workspace", arguments={"kind": "local"})
    chat = {"chat": view(made)["chat"]}
    command = {"command": "echo hello; exec sleep 600", "wait_s": 0.5}
    process = {"process_id": process_of((yield Call(tool="start_process", arguments={**command, **chat})))}
    yield Call(tool="read_output", arguments={**process, **chat})
    yield Call(tool="list_processes", arguments=chat)
    yield Call(tool="signal_process", arguments={**process, "signal": "KILL", **chat})
    yield Call(tool="remove_workspace", arguments={"name": "main", "keep_data": False, **chat})


@each_program
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_model_does_the_main_job_and_sees_every_result_whole(
    program: Program, transport: str, tmp_path: Path
) -> None:
    if transport == "stdio":
        model = play(program, main_job, tmp_path, here(tmp_path, *LOCAL))
    else:
        (tmp_path / "server").mkdir()
        with open_http(tmp_path / "server" / "state", *LOCAL) as server:
            model = play(program, main_job, tmp_path, ("--http", server.url), token=server.token)
    made, started, read, listed, ended, removed = model.play.shown
    assert re.match("c_[A-Za-z0-9_-]{22}$", view(made)["chat"])
    assert view(made)["workspace"]["kind"] == "local"
    process = process_of(started)
    assert "hello" in started
    assert f"[{process} running | it did not end within 500 ms; it runs on | bytes 0-6 of 6 | next offset=6]" in started
    assert f"hello\n[{process} running | bytes 0-6 of 6 | next offset=6]" in read
    assert [one["process_id"] for one in view(listed)["processes"]] == [process]
    assert (view(ended)["state"], view(ended)["signal"], view(ended)["left"]) == ("ended", "KILL", 0)
    assert view(removed)["state"] == "removed"


@each_program
def test_a_model_is_told_what_the_server_is_for(program: Program, tmp_path: Path) -> None:
    model = play(program, look_around, tmp_path, here(tmp_path, *LOCAL))
    assert json.dumps(INSTRUCTIONS.strip())[1:-1] in json.dumps(model.requests)


def look_around() -> Generator[Call, str, None]:
    """Make a workspace and remove it."""
    yield Call(tool="provision_workspace", arguments={"kind": "local"})
    yield Call(tool="remove_workspace", arguments={"name": "main", "keep_data": False})


def flood() -> Generator[Call, str, None]:
    """Half a megabyte of output, read in every way."""
    yield Call(tool="provision_workspace", arguments={"kind": "local"})
    started = yield Call(tool="start_process", arguments={"command": FLOOD, "wait_s": 30})
    process = process_of(started)
    yield Call(tool="read_output", arguments={"process_id": process, "tail": LIMIT, "limit": LIMIT})
    yield Call(tool="read_output", arguments={"process_id": process, "limit": LIMIT})
    yield Call(tool="read_output", arguments={"process_id": process})
    yield Call(tool="remove_workspace", arguments={"name": "main", "keep_data": False})


@each_program
def test_a_page_of_a_large_output_is_never_cut_by_the_host(program: Program, tmp_path: Path) -> None:
    _, started, last, first, usual, _ = play(program, flood, tmp_path, here(tmp_path, *LOCAL)).play.shown
    size, process = len(WRITTEN), process_of(started)
    assert f"bytes 0-16000 of {size} | next offset=16000]" in started
    end = rf"\n\[{process} exited 0 [^\n]*bytes \d+-{size} of {size} \| earlier: offset=0 \| end of output\]"
    assert re.search(end, last)
    assert WRITTEN[-LIMIT:] in last
    assert WRITTEN[:LIMIT] in first
    assert re.search(rf"\[{process} exited 0 [^\n]*of {size} \| next offset=\d+\]", first)
    assert re.search(rf"\[{process} exited 0 [^\n]*of {size} \| next offset=\d+\]", usual)


def slow_process() -> Generator[Call, str, None]:
    """Wait for a process for longer than the host waits for a call."""
    yield Call(tool="provision_workspace", arguments={"kind": "local"})
    command = {"command": f"sleep {TIMEOUT_S * 3 // 2}; echo late", "wait_s": 0}
    process = process_of((yield Call(tool="start_process", arguments=command)))
    for wait_s in (40, 39, 38, 37):
        shown = yield Call(tool="read_output", arguments={"process_id": process, "wait_for": "exit", "wait_s": wait_s})
        if "late\n" in shown:
            break
    yield Call(tool="remove_workspace", arguments={"name": "main", "keep_data": False})


@each_program
def test_a_process_goes_on_when_the_host_gives_up_on_a_call(program: Program, tmp_path: Path) -> None:
    _, _, first, *others, late, _ = play(
        program, slow_process, tmp_path, here(tmp_path, *LOCAL), timeout_s=TIMEOUT_S
    ).play.shown
    assert all("timed out" in shown and "late" not in shown for shown in (first, *others))
    assert re.search(r"late\n\[p_\w+ exited 0", late)


def slow_workspace() -> Generator[Call, str, None]:
    """Ask for a workspace that takes longer than the host waits for a call, until it is there."""
    ready = {"command": f"sleep {TIMEOUT_S * 3 // 2}", "wait_s": 60}
    for _ in range(4):
        shown = yield Call(tool="provision_workspace", arguments={"options": {"ready": ready}})
        if "is_ready" in shown:
            break


@each_program
def test_a_workspace_is_made_once_when_the_host_gives_up_on_a_call(
    program: Program, engine_ground: EngineGround, tmp_path: Path
) -> None:
    with open_instance(tmp_path) as instance:
        address = engine_ground.address or os.environ.get("DOCKER_HOST", "")
        flags = here(tmp_path, "--engine", address, "--image", BUSYBOX)
        first, *others, made = play(program, slow_workspace, tmp_path, flags, timeout_s=TIMEOUT_S).play.shown
        assert all("timed out" in shown and "is_ready" not in shown for shown in (first, *others))
        assert view(made)["is_ready"] is True
        assert len(instance.containers) == 1
