"""Processes that open state directories at the same moment, as servers do that a host starts together."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from threading import Barrier

import anyio

from ws_mcp.core.errors import StateError
from ws_mcp.core.state import open_state

_CONTEXT = multiprocessing.get_context("spawn")  # a fork of threads is none
TOGETHER_S = 30.0


def open_at_once(directory: Path, processes: int, rounds: int) -> list[list[str]]:
    """For each of `rounds` new directories: which instance each process found there, or what it was told."""
    barrier = _CONTEXT.Barrier(processes)
    answers = _CONTEXT.Queue()
    paths = [directory / str(index) for index in range(rounds)]
    children = [_CONTEXT.Process(target=_open_all, args=(paths, barrier, answers)) for _ in range(processes)]
    for child in children:
        child.start()
    try:
        columns: list[list[str]] = [answers.get(timeout=TOGETHER_S) for _ in children]
    finally:
        for child in children:
            child.kill()
            child.join()
    return [list(row) for row in zip(*columns, strict=True)]


def _open_all(paths: Sequence[Path], barrier: Barrier, answers: multiprocessing.Queue[list[str]]) -> None:
    found: list[str] = []
    for path in paths:
        barrier.wait(TOGETHER_S)
        found.append(anyio.run(_instance_in, path))
    answers.put(found)


async def _instance_in(path: Path) -> str:
    try:
        async with open_state(path) as state:
            return state.instance.id
    except StateError as error:
        return f"StateError: {error}"
