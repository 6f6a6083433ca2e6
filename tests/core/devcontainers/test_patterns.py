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

DIRECTORIES = ("a", "b", "a/a", "a/b", "a/b/a", "b/a/b", "a.b", "a/a.b", "a b", "ab", "a/ab/b", "!a", "#a", "[a]", "-a")
FILES = ("c", "a/c", "a/b/c", "a/b/a/c", "b/a/c", "ab/c", "c.b", "a/c.b", "a/ab/b/c", "-c", "!c")
PARTS = st.sampled_from(
    [
        "a",
        "b",
        "c",
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
        "[a-c]",
        "!",
        "#",
        "\\",
        " ",
        ".",
        "-",
        "ab",
    ]
)
# Beside other letters two stars are said to be one; some versions of git compare a wrong pointer there.
_UNSURE = re.compile(r"[^/!]\*\*|\*\*[^/]|^!?\*\*$")
LINES = st.lists(st.lists(PARTS, max_size=5).map("".join).filter(lambda line: not _UNSURE.search(line)), max_size=4)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q"], cwd=folder, env=GIT, check=True)
    for path in DIRECTORIES:
        (folder / path).mkdir(parents=True, exist_ok=True)
    for path in FILES:
        (folder / path).touch()
    return folder


@settings(max_examples=60)
@given(lines=LINES)
def test_a_gitignore_means_what_git_says(repository: Path, lines: list[str]) -> None:
    text = "\n".join(lines)
    (repository / ".gitignore").write_text(text)
    asked = [*DIRECTORIES, *FILES]
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
        parts = path.split("/")
        above = any(rules.verdict("/".join(parts[:at]) + "/") for at in range(1, len(parts)))
        return above or bool(rules.verdict(f"{path}/" if path in DIRECTORIES else path))

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

GIT_LINES = [
    ("a/*", "a/", False),
    ("a/*", "a/b", True),
    ("\\/a", "a", False),
    ("a\\/b", "a/b", True),
    ("a\\\\/b", "a\\/b", True),
    ("a  ", "a", True),
    ("a\\ ", "a ", True),
    ("a\\ ", "a", False),
    ("a\r", "a", True),
    ("/", "a/", False),
]


@pytest.mark.parametrize(("line", "path", "is_left_out"), GIT_LINES)
def test_a_backslash_says_that_the_next_character_is_meant(line: str, path: str, is_left_out: bool) -> None:
    assert bool(git_rules(line).verdict(path)) is is_left_out


@pytest.mark.parametrize(("text", "path", "is_left_out"), DOCKER)
def test_a_dockerignore_is_anchored_and_the_last_match_decides(text: str, path: str, is_left_out: bool) -> None:
    assert bool(docker_rules(text).verdict(path)) is is_left_out


@given(text=st.text(alphabet="a*?[]!^-\\/.", max_size=12))
def test_any_text_is_a_pattern(text: str) -> None:
    assert isinstance(compiled(name_pattern(text)), re.Pattern)
    git_rules(text).verdict("a/b")
    docker_rules(text).verdict("a/b")
