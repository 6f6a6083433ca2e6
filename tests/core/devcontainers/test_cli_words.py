"""Why a run of the dev container CLI failed, in one line: every row that the real CLI could be made to say.

What could not be recorded (no disk space, a taken port) is made from the words of the program that says it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli_recordings import NAMES, outcome_of, recording

from ws_mcp.core.devcontainers.cli_answer import result_of
from ws_mcp.core.devcontainers.cli_events import EventLog
from ws_mcp.core.devcontainers.port import Outcome

# Name of the recording, colon, reason: as a reader would be told, so that a change of words is seen in review.
LINES = (Path(__file__).parent / "reasons.txt").read_text().splitlines()
REASONS = {name: words for name, _, words in (line.partition(": ") for line in LINES)}


def reason(*lines: str, message: str = "Command failed: docker run -e TOKEN=hunter2 x", code: int = 1) -> str:
    log = EventLog()
    for line in lines:
        log.feed(json.dumps({"type": "raw", "level": 3, "timestamp": 1, "text": f"{line}\n"}).encode())
    answer = {"outcome": "error", "message": message, "description": "An error occurred setting up the container."}
    return result_of(json.dumps(answer).encode() if message else b"", code, log).reason


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_failure_says_what_happened_and_what_to_do(name: str) -> None:
    assert outcome_of(name).reason == REASONS.get(name, "")
    assert outcome_of(name).outcome is (Outcome.ERROR if recording(name).code else Outcome.SUCCESS)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("docker: write /var/lib/docker/x: no space left on device.", "no disk space is left"),
        (
            "docker: Error response from daemon: Bind for 0.0.0.0:80 failed: port is already allocated.",
            "a port",
        ),
        ('docker: Error response from daemon: Conflict. The container name "/x" is already in use', "still busy"),
        ("Error response from daemon: removal of container x is already in progress", "still busy"),
        ("Error: short-name resolution failed", "the engine did not create the container; correct"),
    ],
)
def test_the_words_of_an_engine_are_understood(line: str, words: str) -> None:
    assert words in reason(line)
    assert "hunter2" not in reason(line)


def test_a_folder_that_docker_cannot_mount_is_said() -> None:
    line = 'invalid argument "type=bind,source=/p/a\'x",target=/workspaces/a\'x"" for "--mount" flag: parse error'
    assert """the folder /p/a'x" cannot be mounted, for its name has""" in reason(line)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Command failed: id -u -n", "has no name on its machine"),
        ("EACCES: permission denied, mkdir '/home/dev/shop/.devcontainer'", "cannot be read or written"),
        ("Feature 'x/y:1' could not be processed.", "there is no feature x/y:1"),
        ("spawn podman-compose ENOENT", "docker compose is not installed"),
        ("something new", "An error occurred setting up the container."),
    ],
)
def test_the_words_of_the_cli_are_understood(message: str, words: str) -> None:
    assert words in reason(message=message)


def test_what_a_build_writes_is_not_taken_for_the_words_of_the_cli() -> None:
    lines = ("Step 2/3 : RUN npm ci", "npm ERR! ENOENT: no such file or directory, open '/app/package.json'")
    log = EventLog()
    for event in (
        {"type": "start", "level": 3, "timestamp": 1, "text": "Run: docker build -f x ."},
        *({"type": "raw", "level": 3, "timestamp": 1, "text": f"{line}\n"} for line in lines),
    ):
        log.feed(json.dumps(event).encode())
    answer = {
        "outcome": "error",
        "message": "Command failed: docker build -f x .",
        "description": "An error occurred building the image.",
    }
    assert result_of(json.dumps(answer).encode(), 1, log).reason == (
        "the build failed at step 2/3 (RUN npm ci): npm ERR! ENOENT: no such file or directory, open"
        " '/app/package.json'; correct the Dockerfile, then try again"
    )


def test_who_was_killed_says_so() -> None:
    assert reason(message="", code=-9).startswith("the dev container CLI was ended by signal 9")


def test_who_says_nothing_has_failed() -> None:
    assert reason(message="") == "the dev container CLI failed: it said no more"
