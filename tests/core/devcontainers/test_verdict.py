"""Whether a container is out of date, from what was recorded or from what others left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_mcp.core.devcontainers.baseline import baseline
from ws_mcp.core.devcontainers.definition import config_parts, definition_of
from ws_mcp.core.devcontainers.model import Freshness, Key, Record
from ws_mcp.core.devcontainers.port import Fingerprint
from ws_mcp.core.devcontainers.reasons import NAMED, reasons_of
from ws_mcp.core.devcontainers.verdict import Made, verdict_of
from ws_mcp.core.ids import ContainerId

KEY = Key(folder="/p", config="/p/.devcontainer.json")
THEN = datetime(2026, 1, 1, tzinfo=UTC)
PROPERTIES: Mapping[str, object] = {"image": "x", "containerEnv": {"A": "1"}, "postCreateCommand": ["a"], "mounts": []}
DEFINITION = definition_of(KEY, json.dumps(PROPERTIES))


def record(*, error: str = "", is_complete: bool = True, is_adopted: bool = False, **parts: str) -> Record:
    return Record(
        container=ContainerId("c"), key=KEY, parts=now((), **parts).parts,
        is_complete=is_complete, error=error, is_adopted=is_adopted,
    )  # fmt: skip


def now(untracked: tuple[str, ...] = (), **parts: str) -> Fingerprint:
    return Fingerprint(parts={name.replace("_", "/", 1): digest for name, digest in parts.items()}, untracked=untracked)


MADE = Made(created_at=THEN)


def test_what_is_as_recorded_is_clean_and_says_what_was_not_compared() -> None:
    verdict = verdict_of(now(("x",), config_a="1"), record(config_a="1", is_adopted=True), MADE, DEFINITION)
    assert (verdict.freshness, verdict.reasons, verdict.untracked) == (Freshness.CLEAN, (), ("x",))
    assert verdict.is_adopted


def test_reasons_are_in_the_order_of_their_weight_and_the_base_image_is_the_last() -> None:
    kinds = ("image", "lock", "env", "ctx", "feature", "compose", "dockerfile", "config")
    made_from = Record(container=ContainerId("c"), key=KEY, parts={f"{kind}/x": "1" for kind in kinds})
    verdict = verdict_of(Fingerprint(parts={f"{kind}/x": "2" for kind in kinds}), made_from, MADE, DEFINITION)
    assert verdict.freshness is Freshness.DIRTY
    assert verdict.reasons == (
        "x changed", "feature x changed", "x changed (copied by the Dockerfile)", "x changed (used by compose)",
        "locked version of feature x changed", "base image updated",
    )  # fmt: skip


def test_an_image_that_nobody_could_ask_for_is_no_change() -> None:
    for there, here in (
        (record(config_a="1", image_base="1"), now(config_a="1")),
        (record(config_a="1"), now(config_a="1", image_base="1")),
    ):
        assert verdict_of(here, there, MADE, DEFINITION).freshness is Freshness.CLEAN


def test_many_changes_are_a_few_names_and_a_number() -> None:
    reasons = reasons_of({}, {f"ctx/{number:03}": "1" for number in range(100)})
    assert len(reasons) == NAMED + 1
    assert reasons[-1] == f"{100 - NAMED} more files that the Dockerfile copies"


def test_a_name_of_a_file_cannot_write_lines_of_its_own() -> None:
    assert reasons_of({}, {"ctx/a\nb": "1"}) == ("a b added (copied by the Dockerfile)",)


def test_an_incomplete_set_up_is_out_of_date_and_says_why() -> None:
    verdict = verdict_of(
        now(config_a="1"), record(config_a="1", is_complete=False, error="onCreate\nfailed"), MADE, DEFINITION
    )
    assert (verdict.freshness, verdict.reasons) == (Freshness.DIRTY, ("its set-up was not finished: onCreate failed",))
    without = verdict_of(now(config_a="1"), record(is_complete=False), MADE, DEFINITION)
    assert without.reasons == ("its set-up was not finished",)


def test_a_record_without_inputs_says_nothing() -> None:
    verdict = verdict_of(now(config_a="1"), record(), MADE, DEFINITION)
    assert (verdict.freshness, verdict.reasons) == (Freshness.UNKNOWN, ("what it was made from was not recorded",))


def label(**own: object) -> str:
    return json.dumps([{"id": "./tool", "init": True}, {**own}, {"id": "last"}])


SAME = {"containerEnv": {"A": "1"}, "postCreateCommand": ["a"], "remoteEnv": {"X": "1"}, "customizations": {}, "x": 1}


@pytest.mark.parametrize(
    ("metadata", "reasons"),
    [
        (label(**SAME), ()),
        (label(**SAME, mounts=[], capAdd=None), ()),
        (label(**{**SAME, "containerEnv": {"A": "2"}}), ("containerEnv changed",)),
        (label(**{**SAME, "init": True}), ("init removed",)),
        (label(containerEnv={"A": "1"}), ("postCreateCommand added",)),
        (json.dumps(SAME), ()),
        ("[ ", ()),
        ("3", ()),
        ("", ()),
        ("[" * 100_000, ()),
    ],
)
def test_a_container_of_others_is_compared_with_its_label(metadata: str, reasons: tuple[str, ...]) -> None:
    verdict = verdict_of(now(), None, Made(created_at=THEN, metadata=metadata), DEFINITION)
    assert verdict.reasons == reasons
    assert verdict.freshness is (Freshness.DIRTY if reasons else Freshness.CLEAN)
    assert verdict.is_adopted


@pytest.mark.parametrize(
    ("seconds", "freshness"), [(-1, Freshness.CLEAN), (0, Freshness.CLEAN), (1, Freshness.UNKNOWN)]
)
def test_a_file_that_is_newer_than_a_container_of_others_makes_it_unknown(seconds: int, freshness: Freshness) -> None:
    found = Fingerprint(parts={}, newest="Dockerfile", newest_at=THEN + timedelta(seconds=seconds))
    verdict = verdict_of(found, None, Made(created_at=THEN, metadata=label(**SAME)), DEFINITION)
    assert verdict.freshness is freshness
    assert verdict.reasons == (("Dockerfile is newer than the container",) if seconds == 1 else ())


PARTS = st.dictionaries(
    st.sampled_from(["config/a", "dockerfile/d", "ctx/c", "env/e", "lock/l", "image/base"]), st.sampled_from("12")
)


@given(before=PARTS, at_build=st.none() | PARTS, after=st.none() | PARTS)
def test_each_kind_of_input_is_recorded_from_the_moment_when_it_was_read(
    before: dict[str, str], at_build: dict[str, str] | None, after: dict[str, str] | None
) -> None:
    found = baseline(
        Fingerprint(parts=before),
        None if at_build is None else Fingerprint(parts=at_build),
        None if after is None else Fingerprint(parts=after),
    )
    files = before if at_build is None else at_build
    last = files if after is None else after
    for part in ("config/a", "dockerfile/d", "ctx/c", "env/e", "lock/l", "image/base"):
        kind = part.partition("/")[0]
        source = before if kind == "config" else last if kind in ("lock", "image") else files
        assert found.get(part) == source.get(part)


def test_parts_of_a_definition_are_one_for_each_property_that_counts() -> None:
    text = '{"image": "x", "features": {"a": {}, "b": "1"}, "name": "n", "init": true, "capAdd": []}'
    assert set(config_parts(definition_of(KEY, text))) == {
        "config/image", "config/features/a", "config/features/b", "config/init",
    }  # fmt: skip
