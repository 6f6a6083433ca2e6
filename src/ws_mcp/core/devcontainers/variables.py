"""Variables in Dockerfiles and compose files (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\\\$|\$\$|\$(?:(\w+)|\{(\w+)(?:(:?[-+?])([^}]*))?\})")
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][\w.]*)\s*=\s*(.*)")


def substituted(text: str, values: Mapping[str, str | None]) -> str | None:
    """With the values in place. None: that depends on something which is not known here."""
    unknown = False

    def value_of(found: re.Match[str]) -> str:
        nonlocal unknown
        name = found[1] or found[2]
        if name is None:
            return "$"
        value = values.get(name)
        rule, other = found[3] or "", found[4] or ""
        if "+" in rule:
            return other if value else ""
        if value or (value is not None and ":" not in rule):
            return value
        if "-" in rule and not (name in values and value is None):
            return other
        unknown = True
        return ""

    result = _VARIABLE.sub(value_of, text)
    return None if unknown else result


def variables_of(text: str) -> dict[str, str]:
    """What an env file sets, the last of two winning."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if pair := _LINE.fullmatch(line):
            value = pair[2].strip()
            is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            found[pair[1]] = value[1:-1] if is_quoted else re.split(r"\s+#", value)[0].strip()
    return found


def without_comments(text: str) -> str:
    """An env file without what has no effect; whole, where a value may go over several lines."""
    lines = text.splitlines()
    if any(line.count('"') % 2 or line.count("'") % 2 for line in lines):
        return text
    return "\n".join(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
