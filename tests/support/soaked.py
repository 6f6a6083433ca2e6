"""What `make soak` does whole and `make test` in samples (see docs/soak.md)."""

from __future__ import annotations

import os

IS_LONG = bool(os.environ.get("WS_MCP_SOAK"))


def numbers(most: int, *, every: int, turn: int = 0) -> range:
    """The numbers of calls at which something is to happen, from 1 on; of `make test` each `every`-th.

    `turn`: where it begins, so that scripts which begin alike are not all met at the same calls.
    """
    return range(1, most) if IS_LONG else range(1 + turn % every, most, every)
