"""What this server was given in confidence is not in what it writes about itself."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from, text

from ws_mcp.core.errors import one_line
from ws_mcp.core.redaction import MAX_FOUND, MAX_GIVEN, Redactor, is_secret_name, without
from ws_mcp.core.secret_forms import END_CHARACTERS, MIN_CHARACTERS
from ws_mcp.core.sought import CUT

VALUES = text(min_size=MIN_CHARACTERS, max_size=60).filter(lambda value: len(value.strip()) >= MIN_CHARACTERS)
SURROUNDINGS = text(max_size=40)


def knowing(*values: str) -> Redactor:
    redactor = Redactor()
    for value in values:
        redactor.add(value)
    return redactor


def in_python(value: str) -> str:
    return repr(value)[1:-1]


def in_json(value: str) -> str:
    return json.dumps(value)[1:-1]


def quote_all(value: str) -> str:
    return quote(value, safe="")


def hexed(value: str) -> str:
    return value.encode().hex()


def cleaned(value: str, line: str) -> str:
    return knowing(value).clean(line)


@given(value=VALUES, before=SURROUNDINGS, after=SURROUNDINGS)
def test_a_known_value_does_not_survive_anywhere_in_a_text(value: str, before: str, after: str) -> None:
    # A value like "[redacte" is in the mark itself.
    assert value not in cleaned(value, before + value + after).replace("[redacted]", "")


@given(values=lists(VALUES, max_size=3), others=lists(VALUES, max_size=3), before=SURROUNDINGS, after=SURROUNDINGS)
@pytest.mark.parametrize("form", [str, in_json, one_line], ids=["as it is", "JSON", "one line"])
def test_what_nothing_remembers_is_taken_out_as_well(
    form: object, values: list[str], others: list[str], before: str, after: str
) -> None:
    assert callable(form)
    texts = [before, *(str(form(value)) for value in (*values, *others)), after]
    clean = without("|".join(texts), values)
    assert clean == knowing(*values).clean("|".join(texts))


def test_a_text_that_was_made_to_have_very_many_is_not_shown() -> None:
    values = [f"abcdefgh{number}" for number in range(MAX_FOUND + 1)]
    assert without("no workspace 'abcdefgh'", values) == "[redacted]"
    assert without("no workspace 'abcdefgh'", values[1:]) == "no workspace 'abcdefgh'"


@given(value=VALUES, before=SURROUNDINGS, after=SURROUNDINGS)
def test_nor_does_it_in_base64_whatever_stands_around_it(value: str, before: str, after: str) -> None:
    raw = value.encode()
    whole = base64.b64encode(before.encode() + raw + after.encode()).decode()
    begin, end = len(before.encode()), len(before.encode()) + len(raw)
    clean = cleaned(value, whole)
    decidable = whole[-(-begin * 8 // 6) : end * 8 // 6]
    assert len(decidable) < MIN_CHARACTERS or decidable not in clean


@given(value=VALUES)
@pytest.mark.parametrize(
    "form",
    [in_python, in_json, quote, one_line, quote_all, hexed],
    ids=["repr", "JSON", "URL", "one line", "URL with slashes", "hex"],
)
def test_nor_as_our_texts_write_it(form: object, value: str) -> None:
    assert callable(form)
    written = str(form(value))
    if len(written) >= MIN_CHARACTERS:
        assert written not in cleaned(value, f"x {written} y").replace("[redacted]", "")


@given(
    value=text(alphabet="abcdefghijklmnop0123456789", min_size=CUT, max_size=80),
    keep=integers(CUT, 80),
    side=sampled_from("<>"),
)
def test_nor_a_part_of_it_that_was_cut_off(value: str, keep: int, side: str) -> None:
    part = value[:keep] if side == "<" else value[-keep:]
    assert part not in cleaned(value, f"no such image ({part} ...)")


def test_a_line_of_a_key_counts_alone() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIBAQDC\n-----END KEY-----\n"
    assert cleaned(key, "at EFAASCBKcwggSjAgEAAoIBAQDC it broke") == "at [redacted] it broke"


def test_values_that_touch_or_overlap_all_go() -> None:
    redactor = knowing("abcdefgh", "efghijkl", "12345678")
    assert redactor.clean("<abcdefghijkl12345678>") == "<[redacted]>"


def test_what_holds_no_value_stays_as_it_is() -> None:
    assert cleaned("hunter2hunter2", "launch of p_1 failed: hunter2") == "launch of p_1 failed: hunter2"
    assert cleaned("short", "a short text") == "a short text"


def test_of_too_many_values_the_newest_are_known_and_the_servers_own_always() -> None:
    redactor = Redactor()
    redactor.add_own("own-secret")
    for number in range(MAX_GIVEN + 1):
        redactor.add(f"{number:08}-value")
    last = f"{MAX_GIVEN:08}-value"
    assert redactor.clean(f"own-secret 00000001-value {last}") == "[redacted] [redacted] [redacted]"
    assert redactor.clean("00000000-value is past") == "00000000-value is past"


def test_nobody_pushes_out_what_others_gave() -> None:
    redactor = Redactor()
    redactor.add("the-secret-of-bob", by="bob")
    redactor.add(*(f"{number:08}-first" for number in range(MAX_GIVEN)), by="mallory")
    redactor.add(*(f"{number:08}-later" for number in range(MAX_GIVEN)), by="mallory")
    redactor.add("the-secret-of-ann", by="ann")
    last = f"{MAX_GIVEN - 1:08}"
    assert redactor.clean(f"the-secret-of-bob the-secret-of-ann {last}-later") == "[redacted] [redacted] [redacted]"
    assert redactor.clean(f"{last}-first is past") == f"{last}-first is past"


def test_many_long_values_of_one_leave_room_for_others() -> None:
    redactor = Redactor()
    redactor.add("the-secret-of-bob", by="bob")
    for number in range(200):
        redactor.add(f"{number:08}" + "/" * 10 * END_CHARACTERS, by="mallory")
    redactor.add("the-secret-of-ann", by="ann")
    assert redactor.clean("the-secret-of-bob the-secret-of-ann 00000199////") == "[redacted] [redacted] [redacted]"
    assert redactor.clean("00000000//// is past") == "00000000//// is past"


def test_a_value_of_two_is_known_until_both_are_past() -> None:
    redactor = Redactor()
    redactor.add("the-secret-of-both", by="ann")
    redactor.add("the-secret-of-both", by="bob")
    redactor.add(*(f"{number:08}-value" for number in range(MAX_GIVEN - 1)), by="ann")
    assert redactor.clean("the-secret-of-both") == "[redacted]"


def test_a_long_value_is_known_by_its_ends_and_its_lines() -> None:
    value = "a" * 30_000 + "\nthe line in the middle\n" + "z" * 30_000
    assert cleaned(value, f"<{value[:100]}> <{value[-100:]}> the line in the middle") == (
        "<[redacted]> <[redacted]> [redacted]"
    )


def test_variables_with_telling_names_are_known() -> None:
    redactor = Redactor()
    redactor.add_variables(
        {"API_TOKEN": "tok-12345678", "PATH": "/usr/local/bin", "https_proxy": "http://ann:s3cr3t-pass@proxy:80"},
        is_own=True,
    )
    assert redactor.clean("tok-12345678 /usr/local/bin s3cr3t-pass") == "[redacted] /usr/local/bin [redacted]"


@pytest.mark.parametrize(
    "name", ["GITHUB_TOKEN", "db_password", "AWS_SECRET_ACCESS_KEY", "SSH_KEY", "GH_PAT", "NPM_AUTH"]
)
def test_such_names_tell(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["PATH", "KEYBOARD", "AUTHOR", "HOME", "LANG"])
def test_such_names_do_not(name: str) -> None:
    assert not is_secret_name(name)
