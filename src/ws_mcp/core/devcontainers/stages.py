"""Which stages of a Dockerfile are built for a target, and which images they start from (pure).

A stage that nothing needs has no effect on the image: `COPY . .` in the one for production is no input here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ws_mcp.core.devcontainers.dockerfile import Instruction
from ws_mcp.core.devcontainers.variables import substituted

_FROM = re.compile(r"(\S+)(?:\s+AS\s+(\S+))?\s*", re.IGNORECASE)
_PAIR = re.compile(r"""([A-Za-z_]\w*)(?:=((?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])*))?(?=\s|$)""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """From one FROM to the next. `base`: an image or the name of another stage; None: not known."""

    name: str
    base: str | None
    instructions: tuple[Instruction, ...]

    def needs(self) -> set[str]:
        """Names and numbers of stages that it may take something from, besides images."""
        found = {self.base.lower()} if self.base else set[str]()
        for instruction in self.instructions:
            for flag, value in instruction.flags()[0]:
                if flag == "from":
                    found.add(value.lower())
                if flag == "mount":
                    found |= {part[5:].lower() for part in value.split(",") if part.startswith("from=")}
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What of a Dockerfile is built. `head`: what stands before the first stage; `values`: its arguments."""

    head: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    images: tuple[str, ...]
    values: Mapping[str, str | None]

    @property
    def text(self) -> str:
        """All instructions that count."""
        stages = (instruction for stage in self.stages for instruction in stage.instructions)
        return "\n".join(instruction.text for instruction in (*self.head, *stages))


def build_of(instructions: Sequence[Instruction], args: Mapping[str, str | None], target: str = "") -> Build:
    """What is built for `target`, or for the last stage; for one that does not exist, all."""
    starts = [at for at, instruction in enumerate(instructions) if instruction.name == "FROM"]
    head = tuple(instructions[: starts[0]] if starts else instructions)
    values = head_values(head, args)
    ends = [*starts[1:], len(instructions)]
    stages = [_stage(instructions[begin:end], values) for begin, end in zip(starts, ends, strict=False)]
    needed = _needed(stages, target)
    names = {stage.name for stage in stages if stage.name}
    bases = (stages[at].base for at in needed)
    images = [base for base in bases if base and base.lower() not in (*names, "scratch")]
    return Build(
        head=head, stages=tuple(stages[at] for at in needed), images=tuple(dict.fromkeys(images)), values=values
    )


def head_values(head: Sequence[Instruction], args: Mapping[str, str | None]) -> dict[str, str | None]:
    """The arguments before the first stage."""
    values: dict[str, str | None] = {}
    for instruction in head:
        if instruction.name == "ARG":
            for name, value in pairs_of(instruction.rest):
                given = args.get(name, value)
                values[name] = substituted(given, values) if given is not None else None
    return values


def pairs_of(rest: str) -> list[tuple[str, str | None]]:
    """What ARG or ENV sets; None: nothing, only the name is declared."""
    words = rest.split(None, 1)
    if len(words) == 2 and "=" not in words[0]:
        return [(words[0], words[1])]  # the old form of ENV: all the rest is one value
    return [(found[1], found[2].strip("\"'") if found[2] is not None else None) for found in _PAIR.finditer(rest)]


def _stage(instructions: Sequence[Instruction], values: Mapping[str, str | None]) -> Stage:
    found = _FROM.fullmatch(instructions[0].flags()[1])
    return Stage(
        name=(found[2] or "").lower() if found else "",
        base=substituted(found[1], values) if found else None,
        instructions=tuple(instructions),
    )


def _needed(stages: Sequence[Stage], target: str) -> list[int]:
    """The numbers of the stages that are built."""
    if not stages:
        return []
    numbers = {str(at): at for at in range(len(stages))} | {s.name: at for at, s in enumerate(stages) if s.name}
    first = numbers.get(target.lower()) if target else len(stages) - 1
    if first is None:
        return list(range(len(stages)))
    needed: set[int] = set()
    waiting = [first]
    while waiting:
        at = waiting.pop()
        if at not in needed:
            needed.add(at)
            waiting += [numbers[name] for name in stages[at].needs() if name in numbers and numbers[name] < at]
    return sorted(needed)
