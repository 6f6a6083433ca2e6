"""Why a dev container is out of date, in words for a person (pure)."""

from __future__ import annotations

from collections.abc import Mapping

from ws_mcp.core.errors import one_line

NAMED = 8  # of one kind; the rest is a number
IMAGE = "image/"
LIVE = "live/"
GONE = "gone"
_ABOUT = {
    "config": "",
    "dockerfile": "",
    "compose": "",
    "feature": "",
    "ctx": " (copied by the Dockerfile)",
    "env": " (used by compose)",
    "lock": "",
    "image": "",
}
_MORE = {
    "config": "properties",
    "dockerfile": "Dockerfiles",
    "compose": "compose files",
    "feature": "features",
    "ctx": "files that the Dockerfile copies",
    "env": "env files",
    "lock": "locked features",
    "image": "images",
}


def changed_parts(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """The parts that differ. An image that one side could not ask for says nothing."""
    return tuple(
        part
        for part in sorted({*then, *now})
        if then.get(part) != now.get(part) and not (part.startswith(IMAGE) and (part not in then or part not in now))
    )


def reasons_of(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """What changed, most important first."""
    changed = changed_parts(then, now)
    by_kind = {kind: [part for part in changed if part.partition("/")[0] == kind] for kind in _ABOUT}
    found: list[str] = []
    for kind, parts in by_kind.items():
        words = list(dict.fromkeys(_words(part, then, now) for part in parts))
        found += words[:NAMED]
        if len(words) > NAMED:
            found.append(f"{len(words) - NAMED} more {_MORE[kind]}")
    return tuple(dict.fromkeys(found))


def pending_of(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Edits that make no container out of date, and that its processes do not have."""
    names = [part.removeprefix(LIVE) for part in sorted(then) if part.startswith(LIVE) and now.get(part) != then[part]]
    if not names:
        return ()
    return (f"{' and '.join(names)} changed: processes have that in the next container (recreate_devcontainer, force)",)


def _words(part: str, then: Mapping[str, str], now: Mapping[str, str]) -> str:
    kind, _, rest = part.partition("/")
    name = one_line(rest)
    how = "added" if part not in then else "removed" if part not in now else "changed"
    if kind == "config" and rest.startswith("features/"):
        feature = f"feature {name.removeprefix('features/')}"
        return f"options of {feature} changed" if how == "changed" else f"{feature} {how}"
    fixed = {
        "feature": f"feature {name} changed",
        "lock": f"locked version of feature {name} {how}",
        "image": "base image updated",
    }
    if kind in fixed:
        return fixed[kind]
    if now.get(part) == GONE:
        return f"{name} is gone"
    if how == "removed" and kind == "ctx":
        return f"{name} is gone, or no longer copied by the Dockerfile"
    return f"{name} {how}{_ABOUT[kind]}"
