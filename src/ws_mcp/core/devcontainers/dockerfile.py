"""The instructions of a Dockerfile, without what has no effect on the image (pure).

Source: moby/buildkit, frontend/dockerfile/parser.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(\S.*?)\s*")
_HEREDOC = re.compile(r"(?:^|\s)\d*<<(-?)([\"']?)([^\s\"'<>|;&()]+)\2")
_WITH_HEREDOC = frozenset({"RUN", "COPY", "ADD"})
# Their words count, not what is between them; all others may be given to a shell.
_WORDS = frozenset({"FROM", "COPY", "ADD", "ARG", "WORKDIR", "USER", "EXPOSE", "VOLUME", "STOPSIGNAL"})
_FLAG = re.compile(r"--([\w-]+)(?:=(\S*))?(?:\s+|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction on one line; `body`: its heredocs as they are."""

    name: str
    rest: str
    body: str = ""

    @property
    def text(self) -> str:
        """The whole of it."""
        return f"{self.name} {self.rest}\n{self.body}"

    def flags(self) -> tuple[list[tuple[str, str]], str]:
        """Its flags in order, and what comes after them."""
        found: list[tuple[str, str]] = []
        rest = self.rest
        while flag := _FLAG.match(rest):
            found.append((flag[1], flag[2] or ""))
            rest = rest[flag.end() :]
        return found, rest


def instructions_of(text: str) -> tuple[Instruction, ...]:
    """All, in order; the syntax directive is the first."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    found, escape = _directives(lines)
    joined, at = "", 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue  # also between the lines of one instruction
        content = line.rstrip(" \t")
        is_continued = content.endswith(escape) and not content.endswith(escape * 2)
        joined = _joined(joined, content[:-1] if is_continued else content)
        if is_continued:
            continue
        instruction = _instruction(joined)
        body, at = _heredocs(instruction, lines, at)
        found.append(Instruction(name=instruction.name, rest=instruction.rest, body=body))
        joined = ""
    if joined.strip():
        found.append(_instruction(joined))
    return tuple(found)


def _directives(lines: Sequence[str]) -> tuple[list[Instruction], str]:
    """The syntax and the escape character, which are comments at the very top."""
    syntax: list[Instruction] = []
    escape = "\\"
    for line in lines:
        found = _DIRECTIVE.fullmatch(line.strip())
        if not found:
            break
        if found[1].lower() == "syntax":
            syntax.append(Instruction(name="#syntax", rest=found[2]))
        if found[1].lower() == "escape" and found[2] in ("\\", "`"):
            escape = found[2]
    return syntax, escape


def _joined(text: str, more: str) -> str:
    if text.count('"') % 2 or text.count("'") % 2:
        return text + more  # within quotes white space counts
    is_apart = bool(text) and (text[-1:].isspace() or more[:1].isspace())
    return text.rstrip() + " " * is_apart + more.lstrip()


def _instruction(text: str) -> Instruction:
    name, _, rest = text.strip().replace("\t", " ", 1).partition(" ")
    name, rest = name.upper(), rest.strip()
    if name in _WORDS and '"' not in rest and "'" not in rest:
        rest = " ".join(rest.split())
    return Instruction(name=name, rest=rest)


def _heredocs(instruction: Instruction, lines: Sequence[str], at: int) -> tuple[str, int]:
    """The bodies that follow an instruction, and the line after them."""
    if instruction.name not in _WITH_HEREDOC:
        return "", at
    begin = at
    for found in _HEREDOC.finditer(instruction.rest):
        while at < len(lines):
            line = lines[at].lstrip("\t") if found[1] else lines[at]
            at += 1
            if line == found[3]:
                break
    return "\n".join(lines[begin:at]), at
