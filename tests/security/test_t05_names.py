"""T05: names of configuration files and templates lead nowhere but into their own directory.

WS_MCP_TEST_EXAMPLES says how many lists of names are tried (25,000 make 10^5 names; by default what takes 3 seconds).
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import unicodedata
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_mcp.core.entries import FileEntry
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.workspaces.files import archive_of, check_names, check_path

EXAMPLES = int(os.environ.get("WS_MCP_TEST_EXAMPLES", "200"))
PARTS = st.one_of(
    st.sampled_from(["a", "b", "A", "é", "e\u0301", "ß", "SS", "conf.d", "-rf", ".git", " x ", "\N{KELVIN SIGN}", "k"]),
    st.text(st.characters(exclude_characters="/\\", exclude_categories=("Cc", "Cs")), min_size=1, max_size=8),
    st.sampled_from(["x" * 100, "y" * 101, "z" * 255, "字" * 85]),
)
HOSTILE = st.sampled_from(["..", ".", "", "\\", "..\\x", "\0", "\n", "\x7f", "\u202e", "\ud800", "w" * 256, "~"])
PATHS = st.builds("/".join, st.lists(PARTS, min_size=1, max_size=5))
HOSTILE_PATHS = st.builds("/".join, st.lists(PARTS | HOSTILE, min_size=1, max_size=18))


def entry(path: str, content: bytes = b"") -> FileEntry:
    return FileEntry(path=path, content=content)


@contextmanager
def extracted(archive: bytes) -> Generator[dict[str, bytes]]:
    """The oracle: an extractor that believes every name, and the files that are in the directory around it then."""
    with TemporaryDirectory() as around:
        root = Path(around) / "one" / "two" / "root"
        root.mkdir(parents=True)
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r|") as tar:
            for member in tar:
                target = root / member.name
                if member.isdir():
                    target.mkdir(exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                assert content is not None
                target.write_bytes(content.read())
        files = [path for path in Path(around).rglob("*") if not path.is_dir()]
        yield {shown(path, root): path.read_bytes() for path in files}


def shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if root in path.parents else f"OUTSIDE {path.name}"


def test_the_oracle_sees_a_file_that_gets_out() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("in", "../out", "/dev/null"):
            tar.addfile(tarfile.TarInfo(name))
    with extracted(buffer.getvalue()) as found:
        assert found == {"in": b"", "OUTSIDE out": b""}


@settings(max_examples=EXAMPLES, deadline=None)
@given(paths=st.lists(PATHS, min_size=1, max_size=4), hostile=st.lists(HOSTILE_PATHS, max_size=2))
def test_what_comes_out_is_what_went_in_and_nothing_is_outside(paths: list[str], hostile: list[str]) -> None:
    entries = [entry(path, f"{at}".encode()) for at, path in enumerate(paths + hostile)]
    try:
        check_names(entries)
    except InvalidArgumentError:
        with pytest.raises(InvalidArgumentError):
            archive_of(entries)
        # What can be used without the others is tried without them.
        entries = [one for one in entries if usable(one.path)][:1]
    with extracted(archive_of(entries)) as found:
        assert found == {one.path: one.content for one in entries}


def usable(path: str) -> bool:
    try:
        check_path(path)
    except InvalidArgumentError:
        return False
    return True


@settings(max_examples=EXAMPLES, deadline=None)
@given(path=PATHS | HOSTILE_PATHS)
def test_a_name_is_refused_by_the_rules_and_for_nothing_else(path: str) -> None:
    bidi = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    shape = re.fullmatch(rf"[^/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{bidi}]+(/[^/\\]+){{0,15}}", path)
    parts = path.split("/")
    is_plain = all(re.fullmatch(rf"[^\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{bidi}]+", part) for part in parts)
    expected = bool(shape) and is_plain and not {"..", "."} & set(parts)
    fits = expected and max(len(p.encode()) for p in parts) <= 255 and len(path.encode()) <= 1024
    assert usable(path) is fits


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("../etc/passwd", "'..'"),
        ("a/../../b", "'..'"),
        ("a/./b", "'.'"),
        ("/etc/passwd", "relative"),
        ("", "relative"),
        ("a//b", "empty"),
        ("a/", "empty"),
        ("..\\..\\evil", "backslash"),
        ("C:\\evil", "backslash"),
        ("a\0b", "cannot be shown"),
        ("a\nb", "cannot be shown"),
        ("a\x1b[2Jb", "cannot be shown"),
        ("a\u202etxt.exe", "cannot be shown"),
        ("a\ud800", "cannot be shown"),
        ("/".join("a" * 17), "16 parts"),
        ("x" * 256, "255 bytes"),
        ("字" * 86, "255 bytes"),
        ("/".join(["x" * 200] * 6), "1024"),
    ],
)
def test_an_attackers_name_is_refused_with_the_rule_that_it_breaks(path: str, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(why)) as caught:
        check_path(path)
    said = str(caught.value)
    assert said.startswith("file name '")
    assert said.isprintable()
    assert len(said) < 400


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        (("a", "a"), "given twice"),
        (("Readme", "README"), "one name where case"),
        (("caf\u00e9", "cafe\u0301"), "one name where case"),
        (("straße", "STRASSE"), "one name where case"),
        (("k", "\N{KELVIN SIGN}"), "one name where case"),
        (("Conf/a", "conf/b"), "one name where case"),
        (("a", "a/b"), "is a file and"),
        (("a/b/c", "a/B"), "is a file and"),
    ],
)
def test_two_names_that_are_one_somewhere_are_refused(paths: tuple[str, ...], why: str) -> None:
    for order in (paths, paths[::-1]):
        with pytest.raises(InvalidArgumentError, match=why):
            check_names([entry(path) for path in order])


def test_the_very_same_file_twice_is_refused() -> None:
    one = entry("a")
    with pytest.raises(InvalidArgumentError, match="given twice"):
        check_names([one, one])


@given(text=st.text(max_size=12))
def test_every_spelling_that_composes_or_folds_to_the_same_is_one_name(text: str) -> None:
    spellings: list[Callable[[str], str]] = [str.casefold, str.upper, str.lower]
    forms = [unicodedata.normalize(form, change(text)) for form in ("NFC", "NFD") for change in (str, *spellings)]
    for form in forms:
        if usable(text) and usable(form) and form.casefold() == text.casefold():
            with pytest.raises(InvalidArgumentError):
                check_names([entry(text), entry(form)])


def test_the_name_of_a_template_is_a_single_part() -> None:
    check_path("python-3.11", most_parts=1)
    for hostile in ("a/b", "..", "/srv", ""):
        with pytest.raises(InvalidArgumentError):
            check_path(hostile, most_parts=1)
