"""What of a Dockerfile counts, and what it reads from its context."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_mcp.core.devcontainers.copied import WHOLE, sources_of
from ws_mcp.core.devcontainers.dockerfile import instructions_of
from ws_mcp.core.devcontainers.stages import build_of


def texts(text: str) -> list[str]:
    return [instruction.text.strip() for instruction in instructions_of(text)]


def sources(text: str, args: dict[str, str | None] | None = None, target: str = "") -> set[str]:
    return {each.path for each in sources_of(build_of(instructions_of(text), args or {}, target), args or {})}


SAME = [
    ("RUN a && \\\n    b", "run a &&   \\\n\n# why\n\tb"),
    ("FROM  a   AS b", "FROM a AS b  "),
    ("\ufeff# x\nFROM a\r\n", "FROM a"),
    ("# escape=`\nRUN a `\n b", "RUN a \\\n b"),
    ("# check=skip=all\nFROM a", "FROM a"),
    ("COPY a   b /", "COPY a b /"),
]
OTHER = [
    ("RUN apt install a\\\nb", "RUN apt install a \\\nb"),
    ('RUN echo "a\\\n  b"', 'RUN echo "a\\\n b"'),
    ("RUN a  b", "RUN a b"),
    ("# syntax=docker/dockerfile:1\nFROM a", "FROM a"),
    ("RUN <<A\n# x\nA\n", "RUN <<A\nA\n"),
    ("RUN <<-A\n\tx\n\tA\nRUN b", "RUN <<-A\n\ty\n\tA\nRUN b"),
    ("COPY <<a <<b /\n1\na\n2\nb\n", "COPY <<a <<b /\n1\na\n3\nb\n"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_another_form_is_the_same(one: str, other: str) -> None:
    assert texts(one) == texts(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_a_shell_or_an_engine_sees_counts(one: str, other: str) -> None:
    assert texts(one) != texts(other)


def test_a_file_without_an_end_or_a_beginning_is_read_as_far_as_it_goes() -> None:
    assert texts("# syntax=a") == ["#syntax a"]
    assert texts("RUN <<A\nx") == ["RUN <<A\nx"]
    assert texts("RUN a \\") == ["RUN a"]
    assert sources("COPY a /") == set()


def test_stages_that_need_one_stage_twice_are_built_once() -> None:
    assert sources("FROM x AS a\nCOPY a /\nFROM a AS b\nFROM b\nCOPY --from=a / /\n") == {"a"}


def test_what_only_looks_like_a_heredoc_swallows_nothing() -> None:
    assert len(texts("RUN cat <<< a\nRUN b\n")) == 2
    assert len(texts("RUN echo $((1<<A))\nRUN b\n")) == 2
    assert texts("RUN <<'END'\nCOPY a b\nEND\nRUN c")[-1] == "RUN c"


SOURCES: dict[str, set[str]] = {
    "COPY a b c/ /": {"a", "b", "c"},
    "COPY --chown=1:1 --chmod=755 a /": {"a"},
    'COPY ["a b", "c", "/"]': {"a b", "c"},
    "COPY 'a b' /": {"a b"},
    "COPY --from=other a /": set(),
    "COPY . .": {WHOLE},
    "COPY ./ /": {WHOLE},
    "COPY ../../a /b/../c /": {"a", "c"},
    "COPY *.txt a?/[bc] /": {"*.txt", "a?/[bc]"},
    "ADD https://example.org/a git@example.org:a b /": {"b"},
    "COPY <<A /\na\nA": set(),
    "RUN --mount=type=bind,source=a,target=/a b": {"a"},
    "RUN --mount=target=/a --network=none b": {WHOLE},
    "RUN --mount=type=cache,target=/a --mount=type=secret,id=a b": set(),
    "RUN --mount=from=other,target=/a --mount=src=c,target=/c b": {"c"},
    "RUN echo --mount=source=a": set(),
    "ARG A=a\nCOPY $A ${A}b ${B:-c} ${A:+d} /": {"a", "ab", "c", "d"},
    "ARG A=a\nARG A=$A/b\nENV C $A\nENV D=1 E='x'\nCOPY $C $E /": {"a/b", "x"},
    "COPY $UNKNOWN /": {WHOLE},
    "ARG TARGETARCH\nCOPY a-${TARGETARCH}.tar /": {"a-*.tar"},
    "ARG A\nCOPY x$A /": {WHOLE},
    "COPY 'a": {WHOLE},
    'COPY ["a"': {WHOLE},
    "COPY \\$a /": {"$a"},
    "ONBUILD COPY a /": set(),
}


@pytest.mark.parametrize("line", SOURCES)
def test_what_is_read_from_the_context(line: str) -> None:
    assert sources(f"FROM x\n{line}\n") == SOURCES[line]


def test_build_arguments_win_over_defaults_also_from_before_the_first_stage() -> None:
    text = "ARG A=a\nARG B=b\nFROM x\nARG A\nARG B=c\nCOPY $A $B /"
    assert sources(text) == {"a", "c"}
    assert sources(text, {"A": "1", "B": "2"}) == {"1", "2"}
    assert sources(text, {"A": None}) == {WHOLE, "c"}


def test_a_stage_has_the_variables_of_the_one_that_it_starts_from() -> None:
    assert sources("FROM x AS base\nENV A=a\nFROM base\nCOPY $A /") == {"a"}


STAGES = "FROM x AS a\nCOPY a /\nFROM x AS b\nCOPY b /\nFROM a\nCOPY --from=1 / /\nFROM y\nCOPY d /"


@pytest.mark.parametrize(
    ("target", "expected"), [("", {"d"}), ("a", {"a"}), ("2", {"a", "b"}), ("B", {"b"}), ("none", {"a", "b", "d"})]
)
def test_only_what_the_target_needs_is_built(target: str, expected: set[str]) -> None:
    assert sources(STAGES, target=target) == expected


def test_a_mount_needs_its_stage() -> None:
    assert sources("FROM x AS a\nCOPY a /\nFROM y\nRUN --mount=from=a,target=/a true") == {"a"}


def test_images_are_those_that_a_stage_starts_from() -> None:
    text = "ARG V=1\nFROM --platform=linux/amd64 p:$V AS a\nFROM scratch\nCOPY --from=a / /\nCOPY --from=q / /"
    assert build_of(instructions_of(text), {}).images == ("p:1",)
    assert build_of(instructions_of("FROM $X"), {}).images == ()


@given(
    text=st.text(alphabet="ABC FROMCPYargun=$\\\n\"'<#-[]{},:./", max_size=80), target=st.sampled_from(["", "A", "0"])
)
def test_whatever_is_written_nothing_outside_of_the_context_is_a_source(text: str, target: str) -> None:
    for source in sources(f"FROM A\nCOPY {text}", target=target):
        assert not source.startswith("/")
        assert ".." not in source.split("/")
