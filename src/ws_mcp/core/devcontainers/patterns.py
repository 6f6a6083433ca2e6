"""Patterns of .gitignore, .dockerignore and COPY as regular expressions (pure)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

_GLOB = re.compile(r"[*?\[\\]")
_ESCAPED_SLASH = re.compile(r"(?<!\\)((?:\\\\)*)\\/")
_NEVER = "(?!)"


def has_wildcard(text: str) -> bool:
    """Whether it may mean several names."""
    return _GLOB.search(text) is not None


def compiled(pattern: str) -> re.Pattern[str]:
    """Of a pattern, for paths that may have any character in them."""
    return re.compile(pattern, re.DOTALL)


def name_pattern(text: str) -> str:
    """Regular expression of a glob within one name: stars, question marks, brackets and backslashes."""
    out: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            group, at = _group(text, at)
            out.append(group)
        elif char == "\\":
            if at >= len(text):
                return _NEVER
            out.append(re.escape(text[at]))
            at += 1
        else:
            out.append(re.escape(char))
    return "".join(out)


def _group(text: str, at: int) -> tuple[str, int]:
    """A bracket expression from behind its `[`."""
    negation = text[at : at + 1] in ("!", "^")
    end = begin = at + negation
    inside = ""
    while end < len(text) and (text[end] != "]" or end == begin):
        member, end = _member(text, end)
        inside += member
    if end >= len(text):
        return _NEVER, len(text)
    if not inside:  # only ranges from a larger to a smaller one
        return "[^/]" if negation else _NEVER, end + 1
    return f"(?!/)[{'^' if negation else ''}{inside}]", end + 1


def _member(text: str, at: int) -> tuple[str, int]:
    """A class, a range, or one character."""
    if (name := re.match(r"\[:(\w+):\]", text[at:])) and name[1] in _CLASSES:
        return _CLASSES[name[1]], at + len(name[0])
    first, at = _character(text, at)
    if text[at : at + 1] != "-" or text[at + 1 : at + 2] in ("", "]"):
        return re.escape(first), at
    last, at = _character(text, at + 1)
    return f"{re.escape(first)}-{re.escape(last)}" if first <= last else "", at


def _character(text: str, at: int) -> tuple[str, int]:
    at += text[at] == "\\" and at + 1 < len(text)
    return text[at], at + 1


_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "digit": "0-9", "lower": "a-z", "upper": "A-Z", "space": r"\s",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class IgnoreLine:
    """One pattern; of all that match, the last one decides."""

    regex: re.Pattern[str]
    keeps: bool  # with "!"


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The patterns of one file, and one that finds quickly whether any of them matches."""

    lines: tuple[IgnoreLine, ...]
    any: re.Pattern[str]
    keeps: bool = False  # whether one brings something back

    def verdict(self, path: str) -> bool | None:
        """Whether `path` is left out; None: no pattern says anything."""
        if not self.any.fullmatch(path):
            return None
        return next((not line.keeps for line in reversed(self.lines) if line.regex.fullmatch(path)), None)


def _rules(patterns: Iterable[tuple[str, bool]]) -> IgnoreRules:
    lines = [IgnoreLine(compiled(pattern), keeps) for pattern, keeps in patterns]
    return IgnoreRules(
        tuple(lines),
        compiled("|".join(f"(?:{line.regex.pattern})" for line in lines) or _NEVER),
        any(line.keeps for line in lines),
    )


def git_rules(text: str) -> IgnoreRules:
    """Of a .gitignore; paths are relative to its directory, those of directories end in "/".

    Source: gitignore(5).
    """
    return _rules(found for line in text.removeprefix("\ufeff").split("\n") if (found := _git_line(line)))


def _git_line(line: str) -> tuple[str, bool] | None:
    line = line.removesuffix("\r")
    # A space at the end counts where a backslash stands before it.
    while line.endswith(" ") and (len(line) - len(line[:-1].rstrip("\\")) - 1) % 2 == 0:
        line = line[:-1]
    keeps = line.startswith("!")
    line = line[keeps:]
    if not line or (line.startswith("#") and not keeps):
        return None
    is_directory = line.endswith("/")
    if line.startswith("\\/"):
        return None  # a path never begins with a slash
    line = _ESCAPED_SLASH.sub(r"\1/", line.removesuffix("/"))
    if not line.strip("/"):
        return None
    is_anchored = "/" in line
    parts = line.removeprefix("/").split("/")
    if not is_anchored:
        parts = ["**", *parts]
    return _git_parts(parts) + ("/" if is_directory else "/?"), keeps


def _git_parts(parts: list[str]) -> str:
    out = ""
    for at, part in enumerate(parts):
        is_last = at == len(parts) - 1
        if part == "**":
            out += ".+" if is_last else "(?:[^/]+/)*"
        else:
            # A star may be nothing, a name never is: "a/*" is not the directory "a/".
            out += f"(?=[^/]){name_pattern(part)}{'' if is_last else '/'}"
    return out


def docker_rules(text: str) -> IgnoreRules:
    """Of a .dockerignore: what matches, and all that is in it; paths are relative to the context.

    Source: moby/patternmatcher (ReadAll, compile), which differs from git's: all patterns are anchored.
    """
    return _rules(found for line in text.removeprefix("\ufeff").split("\n") if (found := _docker_line(line)))


def _docker_line(line: str) -> tuple[str, bool] | None:
    if line.startswith("#") or not line.strip():
        return None
    line = line.strip()
    keeps = line.startswith("!")
    path = posixpath.normpath(line[keeps:].strip()).lstrip("/")
    if path in ("", "."):
        return None
    pattern = re.sub(r"\*\*/?|(?:(?!\*\*).)+", _docker_piece, path, flags=re.DOTALL)
    return f"{pattern}(?:/.*)?", keeps


def _docker_piece(found: re.Match[str]) -> str:
    if found[0] == "**/":
        return "(?:.*/)?"
    return ".*" if found[0] == "**" else name_pattern(found[0])
