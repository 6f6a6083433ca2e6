"""What a definition asks of its machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.fake_world import INFO

from ws_mcp.core.devcontainers.requirements import unmet_requirements

SMALL = replace(INFO, cpus=2, memory_bytes=(8 << 30) - (300 << 20), storage_bytes=32 << 30)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"cpus": 2, "memory": "8gb", "storage": "32gb"}, ()),
        ({"cpus": 3}, ("3 CPUs, and the engine's machine has 2",)),
        ({"cpus": "4"}, ("4 CPUs",)),
        ({"memory": "16gb"}, ("16gb of memory, and the engine's machine has 7 GiB",)),
        ({"memory": 17179869184}, ("17179869184 of memory",)),
        ({"memory": "8192MB", "storage": "1tb"}, ("1tb of storage, and the engine's machine has 32 GiB",)),
        ({"cpus": 9, "memory": "64gb", "storage": "64gb"}, ("9 CPUs", "64gb of memory", "64gb of storage")),
        ({"cpus": None, "memory": "much", "storage": "-1gb", "gpu": True}, ()),
        ("many", ()),
    ],
)
def test_a_machine_that_is_too_small_is_warned_about(asked: object, words: tuple[str, ...]) -> None:
    warnings = unmet_requirements({"hostRequirements": asked}, SMALL)
    assert len(warnings) == len(words)
    for warning, word in zip(warnings, words, strict=True):
        assert word in warning


def test_what_an_engine_does_not_say_is_no_reason_for_a_warning() -> None:
    asked = {"hostRequirements": {"cpus": 99, "memory": "99tb", "storage": "99tb"}}
    assert unmet_requirements(asked, replace(INFO, cpus=0, memory_bytes=0, storage_bytes=0)) == ()
    assert unmet_requirements({}, INFO) == ()
