"""Nobody changes an audit file unseen."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import DataObject, binary, data, dictionaries, integers, lists, text

from ws_mcp.core.audit.chain import START, chain_key, entry_of, examined, sealed
from ws_mcp.core.audit.file import AuditFile, prepared
from ws_mcp.core.audit.review import Worth, files_of, reviewed
from ws_mcp.core.errors import StateError

KEY = chain_key(b"k" * 32)
NOW = datetime(2026, 11, 26, tzinfo=UTC)
TEXTS = lists(dictionaries(text(max_size=8), text(max_size=8), max_size=3), min_size=2, max_size=5)


def written(bodies: list[dict[str, str]]) -> list[bytes]:
    """Lines as they are in a file."""
    seal, lines = START, list[bytes]()
    for number, body in enumerate(({"kind": "open"}, *bodies), 1):
        line, seal = sealed(KEY, seal, {**body, "seq": number})
        lines.append(line)
    return lines


def damage(lines: list[bytes]) -> str:
    """As `verify` reads a file: cut at the ends of lines."""
    return examined(KEY, b"".join(lines).splitlines(keepends=True)).damage


@given(bodies=TEXTS)
def test_a_file_as_it_was_written_is_whole(bodies: list[dict[str, str]]) -> None:
    assert damage(written(bodies)) == ""


@given(bodies=TEXTS, chosen=data())
def test_any_change_of_a_byte_is_found_and_its_line_is_named(bodies: list[dict[str, str]], chosen: DataObject) -> None:
    lines = written(bodies)
    number = chosen.draw(integers(0, len(lines) - 1))
    place = chosen.draw(integers(0, len(lines[number]) - 1))
    byte = chosen.draw(binary(min_size=1, max_size=1).filter(lambda byte: byte[0] != lines[number][place]))
    changed = lines[number][:place] + byte + lines[number][place + 1 :]
    assert damage([*lines[:number], changed, *lines[number + 1 :]]).startswith(f"line {number + 1} ")


@given(bodies=TEXTS, chosen=data())
def test_a_line_that_was_removed_doubled_or_moved_is_found(bodies: list[dict[str, str]], chosen: DataObject) -> None:
    lines = written(bodies)
    number = chosen.draw(integers(0, len(lines) - 2))
    assert damage([*lines[:number], *lines[number + 1 :]]).startswith(f"line {number + 1} ")
    assert damage([*lines[: number + 1], *lines[number:]]).startswith(f"line {number + 2} ")
    swapped = [*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]]
    assert damage(swapped).startswith(f"line {number + 1} ")


def test_a_chain_that_was_sealed_anew_with_another_key_is_found() -> None:
    line, _ = sealed(chain_key(b"x" * 32), START, {"kind": "open", "seq": 1})
    assert examined(KEY, [line]).damage == "line 1 was changed, moved, or follows one that was removed"


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"{}\n", b"[" * 100_000, b'x,"hash":"' + b"0" * 64 + b'"}\n', b"\xff\xfe\n"]
)
def test_what_is_no_line_is_none(line: bytes) -> None:
    assert entry_of(line) is None


def fill(state: Path, count: int, *, max_bytes: int = 1 << 20, ends: bool = True) -> None:
    """Write an audit directory as a server does."""
    file = AuditFile(prepared(state), KEY, lambda: NOW, max_bytes=max_bytes)
    for number in range(count):
        file.append({"kind": "intent", "verb": f"v{number}"})
    if ends:
        file.close()


def worths(state: Path) -> list[tuple[Worth, str]]:
    return [(review.worth, review.why) for review in reviewed(files_of(state), KEY)]


def test_files_follow_each_other_by_size_and_each_says_after_which(tmp_path: Path) -> None:
    fill(tmp_path, 20, max_bytes=1000)
    assert len(files_of(tmp_path)) > 2
    assert {worth for worth, _ in worths(tmp_path)} == {Worth.WHOLE}
    assert {file.stat().st_mode & 0o777 for file in files_of(tmp_path)} == {0o600}


def test_a_removed_file_is_missed_by_the_one_after_it(tmp_path: Path) -> None:
    fill(tmp_path, 20, max_bytes=1000)
    second = files_of(tmp_path)[1]
    second.unlink()
    assert (Worth.DAMAGED, f"line 1 follows {second.name}, which is missing") in worths(tmp_path)


def test_lines_removed_at_the_end_are_missed_by_the_next_file(tmp_path: Path) -> None:
    fill(tmp_path, 20, max_bytes=1000)
    first = files_of(tmp_path)[0]
    lines = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(b"".join(lines[:-2]))
    missing = f"lines after line {len(lines) - 2} are missing: there were {len(lines)}"
    assert worths(tmp_path)[0] == (Worth.DAMAGED, missing)


def test_a_file_whose_server_runs_is_open_and_one_whose_server_was_killed_has_no_end(tmp_path: Path) -> None:
    file = AuditFile(prepared(tmp_path), KEY, lambda: NOW)
    file.append({"kind": "intent"})
    assert worths(tmp_path) == [(Worth.OPEN, "its server is running")]
    file.close()
    (only,) = files_of(tmp_path)
    only.write_bytes(b"".join(only.read_bytes().splitlines(keepends=True)[:-1]))
    assert worths(tmp_path)[0][0] is Worth.CUT


def test_a_directory_that_others_may_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit").chmod(0o777)
    with pytest.raises(StateError, match="not yours alone"):
        prepared(tmp_path)
