"""Files for a workspace: limits, layers, fingerprint. Their names and their archive: tests/security, T05 and T07."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_mcp.core.entries import CONFIG_LIMITS, MIB, FileEntry, TreeLimits
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.workspaces.files import check_files, fingerprint, merged, name_below, with_unix_lines

LIMITS = TreeLimits(files=2, file_bytes=MIB, total_bytes=MIB + 1)
ENTRIES = st.lists(
    st.builds(FileEntry, path=st.sampled_from("abc"), content=st.binary(max_size=6), is_executable=st.booleans()),
    max_size=3,
    unique_by=lambda entry: entry.path,
)


def entry(path: str, content: bytes = b"x", *, is_executable: bool = False) -> FileEntry:
    return FileEntry(path=path, content=content, is_executable=is_executable)


def test_files_within_the_limits_can_be_used() -> None:
    check_files([entry("a", bytes(MIB)), entry("b", b"1")], LIMITS)
    check_files([], LIMITS)
    check_files([entry(f"{n}", bytes(32768)) for n in range(256)], CONFIG_LIMITS)


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([entry(name) for name in "abc"], "3 files are too many: at most 2"),
        ([entry("big", bytes(MIB + 1))], "file 'big' is too large: at most 1 MiB"),
        ([entry("a", bytes(MIB)), entry("b", b"12")], "the files are too large: at most 1 MiB in all"),
        ([entry("../a", bytes(MIB + 1))], "file name '../a' cannot be used"),
        ([entry("a"), entry("A")], "are one name"),
    ],
)
def test_files_past_a_limit_or_that_cannot_stand_together_are_refused(entries: list[FileEntry], why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=why):
        check_files(entries, LIMITS)


def test_of_two_layers_the_later_one_wins_file_by_file() -> None:
    template = (entry("b", b"1"), entry("a", b"1"))
    given_later = (entry("b", b"2", is_executable=True),)
    assert merged(template, given_later) == (entry("a", b"1"), entry("b", b"2", is_executable=True))
    assert merged() == ()


@given(one=ENTRIES, other=ENTRIES)
def test_a_fingerprint_is_the_same_for_the_same_files_only(one: list[FileEntry], other: list[FileEntry]) -> None:
    assert (fingerprint(one) == fingerprint(other)) is (set(one) == set(other))
    assert fingerprint(reversed(one)) == fingerprint(one)


def test_content_that_looks_like_another_file_does_not_make_the_same_fingerprint() -> None:
    two = [entry("a", b"x"), entry("b", b"y")]
    assert fingerprint([entry("a", b"xb\x00644\x001\x00y")]) != fingerprint(two)
    assert fingerprint([]) == ""
    assert len(fingerprint(two)) == 64


def test_the_content_of_a_file_is_not_in_its_description() -> None:
    assert "s3cret" not in repr(entry("token", b"s3cret"))


@pytest.mark.parametrize(
    ("member", "name"),
    [
        ("configs", ""),
        ("configs/", ""),
        ("configs/a/b", "a/b"),
        ("configs/a/", "a"),
        ("", ""),
        ("/a", "a"),
        ("/a/b", "a/b"),
    ],
)
def test_a_member_of_an_archive_has_its_name_below_the_directory_on_either_engine(member: str, name: str) -> None:
    assert name_below(member) == name


def test_scripts_of_a_checkout_on_windows_run() -> None:
    text, unix = b"#!/bin/sh\r\necho a\rb\r\n", b"#!/bin/sh\necho a\rb\n"
    kept = [entry(name, text) for name in ("a.bat", "sh", "a.sh.txt")]
    changed = [entry(name, text, is_executable=True) for name in ("run.sh", "x/a.py", "README.md")]
    found = with_unix_lines([*kept, *changed])
    assert found == (*kept, *(entry(each.path, unix, is_executable=True) for each in changed))
