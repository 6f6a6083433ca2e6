"""What the parts of the engine door share: a look or an act of the engine, with a deadline, its failures translated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from ws_mcp.core.engine.connection import Target
from ws_mcp.core.engine.deadlines import Deadlines
from ws_mcp.core.engine.faults import Call
from ws_mcp.core.engine.sdk import Sdk

T = TypeVar("T")


class EngineCalls(ABC):
    """Made by `docker.DockerEngine`, which knows the SDK; its other parts know only this."""

    _deadlines: Deadlines

    @abstractmethod
    async def _target(self) -> Target:
        """The engine and what was agreed upon with it."""

    @abstractmethod
    async def _login(self, image: str) -> str:
        """What the engine has to show to the image's registry, as the docker CLI would say it; "" for nothing."""

    @abstractmethod
    async def _look(self, call: Call, subject: str, ask: Callable[[Sdk], T], deadline_s: float = 0) -> T:
        """Ask for something in a worker thread; may be asked twice, left alone when cancelled."""

    @abstractmethod
    async def _act(self, call: Call, subject: str, ask: Callable[[Sdk], T]) -> T:
        """Change something in a worker thread; asked once, and the answer is awaited when cancelled."""
