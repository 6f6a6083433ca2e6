"""A tool as this server registers it: known arguments only, views as answers, one door for failures."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from mcp import MCPError
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import PrivateAttr

from ws_mcp.core.errors import InvalidArgumentError, WsError
from ws_mcp.edge.answer import answered, noted
from ws_mcp.edge.arguments import checked
from ws_mcp.edge.bounded import Bounded, unbounded
from ws_mcp.edge.confirming import Confirm, Question, UnansweredError, confirm
from ws_mcp.edge.deadlines import Deadline
from ws_mcp.edge.errors import failure_of
from ws_mcp.edge.gate import Gate
from ws_mcp.edge.intake import Intake
from ws_mcp.edge.schema import slim, untitled
from ws_mcp.edge.tasks import TaskResult, Tasks, calling
from ws_mcp.edge.views import View

IDS = ("process_id", "container", "old_container")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a tool does to the world. All four are said, since a host takes a missing one for the worst."""

    is_read_only: bool = False
    is_destructive: bool = False
    is_idempotent: bool = False
    is_open_world: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """One line of the list of tools."""

    function: Callable[..., Awaitable[View | CallToolResult]]
    title: str
    effect: Effect
    deadline: Deadline
    is_structured: bool = True
    question: Question | None = None  # what a person is to confirm of a call
    meta: dict[str, Any] = field(default_factory=dict[str, Any])


class GuardedTool(Tool):
    """A tool behind the gate; its expected failures reach the model as they are worded, bugs as a reference only."""

    # One of them, for pydantic looks for each in many places.
    _place: tuple[Gate, ToolSpec, Tasks, Bounded] = PrivateAttr()

    def stand_behind(self, gate: Gate, spec: ToolSpec, tasks: Tasks, bounded: Bounded) -> None:
        """Called once, for the SDK makes it and knows only its own fields."""
        self._place = gate, spec, tasks, bounded

    async def run(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        convert_result: bool = False,  # noqa: ARG002 - the SDK's signature
    ) -> CallToolResult | InputRequiredResult | TaskResult:
        intake = Intake(arguments)
        _, spec, _, bounded = self._place
        known, unfit = self._taken(arguments)
        work = partial(self._answer, known, unfit, intake, context)
        try:
            return await bounded.run(self.name, spec.deadline, spec.deadline.of(known), work)
        except WsError as error:
            return failure_of(self.name, error, intake.clean)

    async def _answer(
        self,
        known: dict[str, object],
        unfit: InvalidArgumentError | None,
        intake: Intake,
        context: Context[Any, Any],
    ) -> CallToolResult | InputRequiredResult | TaskResult:
        gate, spec, tasks, _ = self._place
        try:
            async with gate.passed(
                self.name, is_read_only=spec.effect.is_read_only, arguments=known, unfit=unfit, clean=intake.clean
            ) as passage:
                intake.remember(gate.who)
                if spec.question is not None:
                    await _confirmed(gate.confirm, spec.question, known, context)
                with calling() as call:
                    result = await self.fn(**known)
                passage.made = _made_by(result)
                task = await tasks.task_of(call, self.name, str(known.get("chat") or ""), intake.clean)
        except UnansweredError as error:
            return error.asked
        except MCPError:
            raise
        except Exception as error:  # noqa: BLE001 - the one place around a tool call: a bug must not end the server
            if not isinstance(error, WsError):
                intake.remember(gate.who)  # wherever it broke: its text may have any of them
            return failure_of(self.name, error, intake.clean)
        if task is not None:
            return task
        return noted(answered(cast("View | CallToolResult", result)), gate.damage)

    def _taken(self, arguments: dict[str, Any]) -> tuple[dict[str, object], InvalidArgumentError | None]:
        """The arguments, or whose call it is that cannot be made with them, and why."""
        try:
            return checked(self, arguments), None
        except InvalidArgumentError as error:
            chat = cast("object", arguments.get("chat"))
            return ({"chat": chat} if isinstance(chat, str) else {}), error


async def _confirmed(how: Confirm, question: Question, known: dict[str, object], context: Context[Any, Any]) -> None:
    if how is not Confirm.NEVER:
        text = await question(known)
        if text:
            with unbounded():
                await confirm(how, text, context)


def _made_by(result: View | CallToolResult) -> dict[str, str]:
    """The ids in an answer, for who writes down what was made."""
    is_whole = isinstance(result, CallToolResult)
    values = cast("dict[str, object]", result.structured_content or {}) if is_whole else vars(result)
    return {name: str(values[name]) for name in IDS if values.get(name)}


def tool_of(spec: ToolSpec, gate: Gate, tasks: Tasks, bounded: Bounded) -> Tool:
    """The tool that the SDK registers. Name, words and schema come from the function.

    Raises:
        InvalidSignature: what the function returns cannot be described by a schema.
    """
    tool = GuardedTool.from_function(
        spec.function,
        title=spec.title,
        description=inspect.cleandoc(spec.function.__doc__ or ""),
        annotations=ToolAnnotations(
            read_only_hint=spec.effect.is_read_only,
            destructive_hint=spec.effect.is_destructive,
            idempotent_hint=spec.effect.is_idempotent,
            open_world_hint=spec.effect.is_open_world,
        ),
        meta=spec.meta or None,
        structured_output=spec.is_structured,
    )
    assert isinstance(tool, GuardedTool)
    tool.stand_behind(gate, spec, tasks, bounded)
    tool.parameters = slim(tool.parameters)
    if tool.fn_metadata.output_schema is not None:
        tool.fn_metadata.output_schema = untitled(tool.fn_metadata.output_schema)
    return tool
