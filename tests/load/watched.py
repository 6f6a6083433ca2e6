"""A server of ours that also tells what is in it, when it gets USR1: its tasks, and how many objects there are.

`python -P watched.py FILE stdio|http [FLAG ...]`; what it tells replaces FILE.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

from ws_mcp.cli import main

POOLED = "AnyIO worker thread"


def watch(told: Path) -> None:
    """Take USR1 from now on."""

    def tell(_signal: int, _frame: object) -> None:
        gc.collect()
        tasks = Counter(getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks())
        new = told.with_suffix(".new")
        pool = sum(thread.name == POOLED for thread in threading.enumerate())
        new.write_text(json.dumps({"tasks": tasks, "objects": len(gc.get_objects()), "pool": pool}))
        new.replace(told)

    signal.signal(signal.SIGUSR1, tell)


if __name__ == "__main__":
    watch(Path(sys.argv.pop(1)))
    sys.exit(main())
