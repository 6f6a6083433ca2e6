"""The work queue: one key in one hand, later and later after failures, anew for a new version."""

from __future__ import annotations

import itertools

import anyio
import pytest
from anyio.abc import TaskGroup

from ws_mcp.core.devcontainers.workqueue import BACKOFF_S, HANDS, WorkQueue
from ws_mcp.core.errors import PlaceUnavailableError

pytestmark = pytest.mark.anyio


class Bench:
    """What is worked on. `gate`: waited for; `fails`: how often each key fails yet."""

    def __init__(self, tasks: TaskGroup) -> None:
        self.queue = WorkQueue(self._work, tasks)
        self.gate: anyio.Event | None = None
        self.fails: dict[str, int] = {}
        self.in_hand: list[str] = []
        self.most = 0
        self.done: list[tuple[str, str, float]] = []

    async def _work(self, key: str, version: str) -> None:
        assert key not in self.in_hand
        self.in_hand.append(key)
        self.most = max(self.most, len(self.in_hand))
        try:
            await anyio.lowlevel.checkpoint()
            if self.gate is not None:
                await self.gate.wait()
            self.done.append((key, version, anyio.current_time()))
            if self.fails.get(key, 0):
                self.fails[key] -= 1
                raise PlaceUnavailableError("not now")
        finally:
            self.in_hand.remove(key)


async def test_a_version_is_done_once_however_often_it_is_wanted() -> None:
    async with anyio.create_task_group() as tasks:
        bench = Bench(tasks)
        for _ in range(3):
            bench.queue.want("a", "1")
            await bench.queue.until_tried("a")
        assert [(key, version) for key, version, _ in bench.done] == [("a", "1")]
        bench.queue.want("a", "2")
        await bench.queue.until_tried("a")
        assert [(key, version) for key, version, _ in bench.done] == [("a", "1"), ("a", "2")]
        tasks.cancel_scope.cancel()


async def test_a_key_is_never_in_two_hands_and_a_version_that_comes_meanwhile_is_done_after() -> None:
    async with anyio.create_task_group() as tasks:
        bench = Bench(tasks)
        bench.gate = anyio.Event()
        bench.queue.want("a", "1")
        await anyio.wait_all_tasks_blocked()
        assert bench.in_hand == ["a"]
        bench.queue.want("a", "2")
        await anyio.wait_all_tasks_blocked()
        bench.gate.set()
        await bench.queue.until_tried("a")
        assert [(key, version) for key, version, _ in bench.done] == [("a", "1"), ("a", "2")]
        tasks.cancel_scope.cancel()


async def test_there_are_as_many_hands_as_said() -> None:
    async with anyio.create_task_group() as tasks:
        bench = Bench(tasks)
        bench.gate = anyio.Event()
        for number in range(3 * HANDS):
            bench.queue.want(str(number), "1")
        await anyio.wait_all_tasks_blocked()
        assert len(bench.in_hand) == HANDS
        bench.gate.set()
        for number in range(3 * HANDS):
            await bench.queue.until_tried(str(number))
        assert (len(bench.done), bench.most) == (3 * HANDS, HANDS)
        tasks.cancel_scope.cancel()


async def test_what_fails_is_tried_again_later_and_later(virtual_time: None) -> None:
    async with anyio.create_task_group() as tasks:
        bench = Bench(tasks)
        bench.fails["a"] = 10
        bench.queue.want("a", "1")
        await anyio.sleep(1000)
        at = [when for _, _, when in bench.done]
        pauses = [round(later - earlier, 3) for earlier, later in itertools.pairwise(at)]
        assert pauses == [min(BACKOFF_S[0] * 2**n, BACKOFF_S[1]) for n in range(10)]
        tasks.cancel_scope.cancel()


async def test_a_new_version_does_not_wait_for_the_pause_of_the_old_one(virtual_time: None) -> None:
    async with anyio.create_task_group() as tasks:
        bench = Bench(tasks)
        bench.fails["a"] = 8
        bench.queue.want("a", "1")
        await anyio.sleep(100)
        bench.fails["a"] = 0
        bench.done.clear()
        before = anyio.current_time()
        bench.queue.want("a", "2")
        await bench.queue.until_tried("a")
        assert bench.done == [("a", "2", before)]
        tasks.cancel_scope.cancel()


async def test_a_failure_of_one_key_holds_up_no_other(virtual_time: None) -> None:
    async with anyio.create_task_group() as tasks:
        bench = Bench(tasks)
        bench.fails = {str(number): 100 for number in range(2 * HANDS)}
        for number in range(2 * HANDS):
            bench.queue.want(str(number), "1")
        await anyio.sleep(30)
        bench.queue.want("good", "1")
        before = anyio.current_time()
        await bench.queue.until_tried("good")
        assert ("good", "1", before) in bench.done
        tasks.cancel_scope.cancel()


async def test_what_is_wanted_no_more_is_not_tried_again(virtual_time: None) -> None:
    async with anyio.create_task_group() as tasks:
        bench = Bench(tasks)
        bench.fails = {"a": 100, "b": 100}
        bench.queue.want("a", "1")
        bench.queue.want("b", "1")
        await bench.queue.until_tried("b")
        bench.queue.only({"b"})
        bench.done.clear()
        await anyio.sleep(100)
        assert {key for key, _, _ in bench.done} == {"b"}
        tasks.cancel_scope.cancel()


async def test_what_was_done_is_done_again_when_it_is_true_no_more() -> None:
    async with anyio.create_task_group() as tasks:
        bench = Bench(tasks)
        bench.queue.want("a", "1")
        await bench.queue.until_tried("a")
        bench.queue.again("a")
        await bench.queue.until_tried("a")
        assert [(key, version) for key, version, _ in bench.done] == [("a", "1"), ("a", "1")]
        tasks.cancel_scope.cancel()
