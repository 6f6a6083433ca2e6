"""Work that asks its client in the middle, by its task. Our own tools ask before they begin."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import anyio
from mcp.types import InputRequest


class FixtureQuestions:
    """See `edge.tasks.TaskQuestions`."""

    def __init__(self) -> None:
        self.open: dict[str, object] = {}
        self._answers: dict[str, object] = {}
        self._answered = anyio.Event()

    async def ask(self, question: InputRequest) -> object:
        """The answer, as the client sent it; waits for it as long as the job may."""
        name = secrets.token_hex(8)
        self.open[name] = question.model_dump(by_alias=True, mode="json", exclude_none=True)
        while name not in self._answers:
            await self._answered.wait()
        return self._answers.pop(name)

    def answer(self, answers: Mapping[str, object]) -> None:
        """Take the answers to questions that are open; others are of no use."""
        for name in answers.keys() & self.open.keys():
            self._answers[name] = answers[name]
            del self.open[name]
        self._answered.set()
        self._answered = anyio.Event()
