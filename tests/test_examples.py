"""Every command that a document shows is one that there is, with flags and values that are taken."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from ws_mcp.cli import parser_of_all, settings_of
from ws_mcp.core.policy.file import policy_of

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
OTHERS = frozenset(
    (
        "claude",
        "codex",
        "createdb",
        "createuser",
        "curl",
        "docker",
        "export",
        "gemini",
        "git",
        "npm",
        "pip",
        "podman",
        "ssh",
        "sudo",
        "systemctl",
        "uv",
        "uvx",
    )
)
"""Programs that are not ours; `claude mcp add ... -- ws-mcp ...` says after the dashes what it starts."""


def commands_of(document: Path) -> Iterable[list[str]]:
    """The words of each line of its shell blocks."""
    for block in re.findall(r"^```sh\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words[: words.index(">")] if ">" in words else words


def started_by(words: list[str]) -> list[str]:
    """What another program is told to start, or the command itself."""
    if "--" in words:
        return words[words.index("--") + 1 :]
    return words[words.index("ws-mcp") :] if words[0] in ("sudo", "uvx") and "ws-mcp" in words else words


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_is_one_that_there_is(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands_of(document):
        program, *arguments = started_by(words)
        if program == "ws-mcp":
            try:
                options = vars(parser_of_all().parse_args(arguments))
            except SystemExit:
                pytest.fail(f"{shlex.join(words)}: {capsys.readouterr().err}")
            for name in ("command", "log_level", "log_format"):
                options.pop(name, None)
            assert settings_of(options) is not None, f"{shlex.join(words)}: {capsys.readouterr().err}"
        elif program == "make":
            named = {word for word in arguments if "=" not in word and not word.startswith("-")}
            assert named <= TARGETS, f"{shlex.join(words)}: there is no {named - TARGETS}"
        else:
            assert program in OTHERS, f"{shlex.join(words)}: what is {program}?"


def test_some_commands_are_ours() -> None:
    ours = [words for document in DOCUMENTS for words in commands_of(document) if "ws-mcp" in words]
    assert len(ours) > 15


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_policy_that_a_document_shows_is_taken(document: Path) -> None:
    for block in re.findall(r"^```toml\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE):
        if "[[grant]]" in block:
            policy_of(block, document.name)
        else:
            assert tomllib.loads(block)
