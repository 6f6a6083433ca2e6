"""What a new container was made from, where files were changed while it was made (pure)."""

from __future__ import annotations

from collections.abc import Mapping

from ws_mcp.core.devcontainers.port import Fingerprint

_FIRST = ("config", "live")
_LAST = ("lock", "image")


def baseline(before: Fingerprint, at_build: Fingerprint | None, after: Fingerprint | None) -> Mapping[str, str]:
    """The parts to record: of each kind from the moment when the CLI read it.

    devcontainer.json is read first: `before` the start. Files are read by the build, after initializeCommand, which
    often writes some: `at_build`. The lock file is written by the CLI itself, and an image pulled by it: `after`.
    Without one of the later two its parts are those of the one before.
    """
    files = at_build or before
    last = after or files
    return {
        **{part: digest for part, digest in before.parts.items() if _kind(part) in _FIRST},
        **{part: digest for part, digest in files.parts.items() if _kind(part) not in (*_FIRST, *_LAST)},
        **{part: digest for part, digest in last.parts.items() if _kind(part) in _LAST},
    }


def _kind(part: str) -> str:
    return part.partition("/")[0]
