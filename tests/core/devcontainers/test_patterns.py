"""Patterns of ignore files: git's own answer is the measure."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.host_ground import GIT

from ws_mcp.core.devcontainers.patterns import compiled, docker_rules, git_rules, name_pattern

PATHS = ("a", "b", "a/a", "a/b", "a/b/a", "b/a/b", "a.b", "a/a.b", "a b", "ab", "a/ab/b", "!a", "#a", "[a]", "-a")
PARTS = st.sampled_from(
    [
        "a",
        "b",
        "*",
        "?",
        "**",
        "/",
        "/",
        "a*",
        "*b",
        "[ab]",
        "[!a]",
        "[^b]",
        "[a-b]",
        "!",
        "#",
        "\\",
        " ",
        ".",
        "-",
        "ab",
    ]
)
LINES = st.lists(st.lists(PARTS, max_size=5).map("".join), max_size=4)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q"], cwd=folder, env=GIT, check=True)
    return folder


@settings(max_examples=60)
@given(lines=LINES)
def test_a_gitignore_means_what_git_says(repository: Path, lines: list[str]) -> None:
    text = "\n".join(lines)
    (repository / ".gitignore").write_text(text)
    asked = [path + end for path in PATHS for end in ("", "/")]
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "-v", "-n", "-z", "--stdin"],
        cwd=repository, env=GIT, input="\0".join(asked), capture_output=True, text=True, check=False,
    )  # fmt: skip
    fields = done.stdout.split("\0")
    pairs = zip(fields[2::4], fields[3::4], strict=False)
    theirs = {path: bool(pattern) and not pattern.startswith("!") for pattern, path in pairs}
    rules = git_rules(text)

    def ours(path: str) -> bool:
        # As a walk goes down: what is in an ignored directory is ignored, whatever comes after.
        parts = path.rstrip("/").split("/")
        above = any(rules.verdict("/".join(parts[:at]) + "/") for at in range(1, len(parts)))
        return above or bool(rules.verdict(path))

    assert {path: ours(path) for path in asked} == theirs


DOCKER = [
    ("a", "a", True),
    ("a", "a/b", True),
    ("a", "b/a", False),
    ("/a/", "a", True),
    ("./a/../b", "b", True),
    ("*", "a/b", True),
    ("*/b", "a/b", True),
    ("*/b", "a/c/b", False),
    ("**/b", "b", True),
    ("**/b", "a/c/b/d", True),
    ("a/**", "a/b/c", True),
    ("a/**/c", "a/c", True),
    ("a?c", "abc", True),
    ("[a-c]", "b", True),
    ("a.c", "abc", False),
    ("a\\*", "a*", True),
    (".", "a", False),
    ("# a", "a", False),
    ("a\n!a/b", "a/b/c", False),
    ("!a\na", "a", True),
    ("[", "a", False),
    ("[[:digit:]]x", "5x", True),
    ("[[:digit:]]", "d", False),
    ("[[:none:]]", "n]", True),
    ("[b-a]", "a", False),
    ("[b-a]/[^b-a]", "a/a", False),
    ("[^b-a]", "a", True),
    ("[--]x", "-x", True),
    ("[?--]", "-", False),
    ("[+--]", ",", True),
    ("[a\\]]", "]", True),
    ("[a-\\]]", "]", False),
    ("[]a]", "]", True),
    ("[^/]", "/", False),
    ("/", "a", False),
    ("a\\", "a", False),
]

GIT_LINES = [("a  ", "a", True), ("a\\ ", "a ", True), ("a\\ ", "a", False), ("a\r", "a", True), ("/", "a/", False)]


@pytest.mark.parametrize(("line", "path", "is_left_out"), GIT_LINES)
def test_spaces_at_the_end_of_a_line_count_where_a_backslash_says_so(line: str, path: str, is_left_out: bool) -> None:
    assert bool(git_rules(line).verdict(path)) is is_left_out


@pytest.mark.parametrize(("text", "path", "is_left_out"), DOCKER)
def test_a_dockerignore_is_anchored_and_the_last_match_decides(text: str, path: str, is_left_out: bool) -> None:
    assert bool(docker_rules(text).verdict(path)) is is_left_out


@given(text=st.text(alphabet="a*?[]!^-\\/.", max_size=12))
def test_any_text_is_a_pattern(text: str) -> None:
    assert isinstance(compiled(name_pattern(text)), re.Pattern)
    git_rules(text).verdict("a/b")
    docker_rules(text).verdict("a/b")
