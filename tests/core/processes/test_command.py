from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import text

from ws_mcp.core.processes.command import DUMP_NOTE, advise


@pytest.mark.parametrize(
    ("command", "rest"),
    [
        ("cmd &", "cmd"),
        ("cmd&", "cmd"),
        ("cmd  & \n", "cmd"),
        ("a && b &", "a && b"),
        ("a & b &", "a & b"),
        ("a; b &", "a; b"),
        ("a | b &", "a | b"),
        ("echo 'x & y' &", "echo 'x & y'"),
        ('echo "it\\"s" &', 'echo "it\\"s"'),
        ("echo `date` &", "echo `date`"),
        ("cmd > log 2>&1 &", "cmd > log 2>&1"),
        ("cmd & # in the background", "cmd"),
        ("echo $# &", "echo $#"),
        ("echo a#b &", "echo a#b"),
        ("cat <<EOF &", "cat <<EOF"),
        ("echo \\& &", "echo \\&"),
        ("echo 'a' 'b'&", "echo 'a' 'b'"),
    ],
)
def test_a_trailing_ampersand_is_taken_off(command: str, rest: str) -> None:
    advice = advise(command)
    assert (advice.command, advice.promoted_background) == (rest, True)


@pytest.mark.parametrize(
    "command",
    [
        "cmd",
        "cmd &&",
        "a && b",
        "a & b",
        "cmd |&",
        "cmd \\&",
        "echo 'a &'",
        'echo "a &"',
        "echo 'a &",
        'echo "a &',
        "echo `a &",
        "echo a # b &",
        "# &",
        "(sleep 1 &)",
        "&",
        " & ",
        "cmd ;&",
        "cmd >&",
        "cat <<EOF\na &",
        "cmd \\",
        "",
    ],
)
def test_what_is_no_trailing_ampersand_is_left_alone(command: str) -> None:
    advice = advise(command)
    assert (advice.command, advice.promoted_background) == (command, False)


@given(command=text(alphabet="ab &|;<>#'\"`\\\n$(", max_size=30))
def test_only_one_ampersand_and_what_follows_it_is_ever_taken_off(command: str) -> None:
    advice = advise(command)
    assert isinstance(advice.command, str)
    if advice.promoted_background:
        assert command[len(advice.command) :].lstrip().startswith("&")
        assert command.startswith(advice.command)
    else:
        assert advice.command == command


@pytest.mark.parametrize(
    "command",
    ["cat f", "cat  src/a.py b.py", " cat f", "cat f &", "rg -l word", "grep -l word *", "grep -r --include-all x ."],
)
def test_a_command_that_only_shows_files_gets_a_note(command: str) -> None:
    assert advise(command).note == DUMP_NOTE


@pytest.mark.parametrize(
    "command",
    [
        "concatenate f",
        "grep -r word .",
        "rg word",
        "cat",
        "cat - ",
        "cat f | wc -l",
        "cat > f",
        "cat f; make",
        "cat f && make",
        "cat <<EOF\nx\nEOF",
        "grep -lr word .",
        "echo cat f",
    ],
)
def test_other_commands_get_no_note(command: str) -> None:
    assert advise(command).note == ""


def test_words_are_left_alone() -> None:
    advice = advise(("cat", "f", "&"))
    assert (advice.command, advice.promoted_background, advice.note) == (("cat", "f", "&"), False, "")
