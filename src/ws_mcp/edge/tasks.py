"""The tasks extension: clients that declare it get a task where others are told to call again.

A task is a ticket for a job of this server and nothing else: what is quick, refused or asked of a person is answered in
line, and a job does not know who looks at it.

Source: SEP-2663, extension io.modelcontextprotocol/tasks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal, Protocol, cast

from mcp import MCPError
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver.server import require_client_extension
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp.types import HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, RequestParams, Result
from pydantic import ConfigDict, Field

from ws_mcp.core.errors import StateError
from ws_mcp.core.ids import TicketId
from ws_mcp.core.job import Holding, holding
from ws_mcp.core.tickets import KEEP_S, Answer, Ticket, TicketOwner, TicketState
from ws_mcp.edge.answer import answered
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.errors import OTHER, failed, failure_of
from ws_mcp.edge.identity import Identity, Request, request
from ws_mcp.edge.views import View

TASKS = "io.modelcontextprotocol/tasks"
VERSIONS = frozenset({"2026-07-28"})
HANDLE_S = 2.0  # until a task takes the place of an answer
POLL_MS = 1000
LONGEST = 64 * 1024  # characters of an answer that is kept
TOO_LONG = "it is done, but its answer is too long to be kept: call the tool again to see what there is now"
NO_TASK = "there is no such task: it is over for long, or was never yours"

Then = Callable[[Any], View | CallToolResult]
"""What a tool answers with the result of its job."""


class TaskQuestions(Protocol):
    """What the work of a task asks its client meanwhile. Our tools ask before they begin, and so have none."""

    @property
    def open(self) -> Mapping[str, object]:
        """The requests that wait for an answer, by name, as they are sent."""
        ...

    def answer(self, answers: Mapping[str, object]) -> None:
        """Take the answers to some of them; others are of no use."""
        ...


class TaskParams(RequestParams):
    """Which task."""

    model_config = ConfigDict(populate_by_name=True)
    task_id: str = Field(alias="taskId")


class UpdateParams(TaskParams):
    """What the client answered for it."""

    input_responses: dict[str, object] = Field(alias="inputResponses", default_factory=dict)


class TaskResult(Result):
    """A task in the place of an answer."""

    model_config = ConfigDict(extra="allow")
    result_type: Literal["task"] = Field(alias="resultType", default="task")


@dataclass(slots=True)
class TaskCall:
    """A call of a tool. `then`, `questions`: of the job that it left."""

    holding: Holding | None = None
    then: Then | None = None
    questions: TaskQuestions | None = None


_call: ContextVar[TaskCall] = ContextVar("ws_mcp_task_call")


@contextmanager
def calling() -> Generator[TaskCall]:
    """The time in which a tool works for a call."""
    call = TaskCall()
    token = _call.set(call)
    try:
        with holding(HANDLE_S) if declares_tasks(request()) else nullcontext() as call.holding:
            yield call
    except BaseException:
        if call.holding is not None and call.holding.hold is not None:
            call.holding.hold.drop()
        raise
    finally:
        _call.reset(token)


def goes_on(then: Then, questions: TaskQuestions | None = None) -> None:
    """Say that the job of this call goes on, and what is answered when it ends."""
    call = _call.get()
    call.then, call.questions = then, questions


def declares_tasks(ctx: Request) -> bool:
    """Whether the client of a request can have a task in the place of an answer."""
    capabilities = ctx.session.client_capabilities
    declared = capabilities.extensions if capabilities else None
    return ctx.protocol_version in VERSIONS and bool(declared) and TASKS in cast("Mapping[str, object]", declared)


class Tasks(Extension):
    """The tasks of all clients. Each request comes through the gate, as any other."""

    identifier = TASKS

    def __init__(self, identity: Identity, core: Core) -> None:
        self._identity = identity
        self._core = core
        self._questions: dict[TicketId, TaskQuestions] = {}

    def methods(self) -> Sequence[MethodBinding]:
        """Of this revision: there is no list, and a result is part of its task."""
        return (
            MethodBinding("tasks/get", TaskParams, self._get, VERSIONS),
            MethodBinding("tasks/update", UpdateParams, self._update, VERSIONS),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, VERSIONS),
        )

    async def task_of(self, call: TaskCall, tool: str, chat: str, clean: Callable[[str], str]) -> TaskResult | None:
        """The task of a call that left a job and holds it; None for any other. `chat`: its argument."""
        hold = call.holding and call.holding.hold
        if hold is None or call.then is None:
            return None
        end = partial(_answered, tool, call.then, clean)
        try:
            owner = TicketOwner(principal=self._identity.principal.id, chat=await self._identity.chat_of(chat) or "")
            ticket = await self._core.tickets.take(owner, hold, tool, end)
        except StateError:
            hold.come_back()
            return None
        except BaseException:
            hold.drop()
            raise
        if call.questions is not None:
            self._questions.setdefault(ticket.id, call.questions)
        return TaskResult.model_validate(_task(ticket))

    async def _get(self, ctx: Request, params: TaskParams) -> dict[str, object]:
        ticket = await self._core.tickets.look(await self._owner(ctx, params), TicketId(params.task_id))
        if ticket is None:
            raise MCPError(INVALID_PARAMS, NO_TASK)
        shown = _task(ticket)
        if ticket.state is not TicketState.WORKING:
            self._questions.pop(ticket.id, None)
        elif (questions := self._questions.get(ticket.id)) is not None and questions.open:
            shown |= {"status": "input_required", "inputRequests": dict(questions.open)}
        if ticket.state is TicketState.COMPLETED:
            shown["result"] = json.loads(ticket.answer)
        if ticket.state is TicketState.FAILED:
            said = {"code": INTERNAL_ERROR, "message": ticket.message}
            shown["error"] = json.loads(ticket.answer) if ticket.answer else said
        return shown

    async def _update(self, ctx: Request, params: UpdateParams) -> dict[str, object]:
        if await self._core.tickets.look(await self._owner(ctx, params), TicketId(params.task_id)) is None:
            raise MCPError(INVALID_PARAMS, NO_TASK)
        if (questions := self._questions.get(TicketId(params.task_id))) is not None:
            questions.answer(params.input_responses)
        return {}

    async def _cancel(self, ctx: Request, params: TaskParams) -> dict[str, object]:
        if not await self._core.tickets.give_up(await self._owner(ctx, params), TicketId(params.task_id)):
            raise MCPError(INVALID_PARAMS, NO_TASK)
        return {}

    async def _owner(self, ctx: Request, params: TaskParams) -> TicketOwner:
        """Whose tasks the request may be about; one of another's is not there for it."""
        require_client_extension(ctx, TASKS)
        headers: Mapping[str, str] | None = getattr(ctx.request, "headers", None)
        if headers is not None and decode_header_value(headers.get(MCP_NAME_HEADER)) != params.task_id:
            raise MCPError(HEADER_MISMATCH, "mcp-name header does not match the request body's 'taskId' parameter")
        who = self._identity.principal
        return TicketOwner(principal=who.id, chat=(await self._identity.look()).id if who.chat else "")


def _task(ticket: Ticket) -> dict[str, object]:
    shown: dict[str, object] = {
        "taskId": ticket.id,
        "status": ticket.state.value,
        "createdAt": _moment(ticket.began_at),
        "lastUpdatedAt": _moment(ticket.changed_at),
        "ttlMs": KEEP_S * 1000,
        "pollIntervalMs": POLL_MS,
    }
    return shown | ({"statusMessage": ticket.message} if ticket.message else {})


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _answered(tool: str, then: Then, clean: Callable[[str], str], result: object, failure: Exception | None) -> Answer:
    """See `tickets.Answered`. A tool that fails has an answer all the same; only the protocol's own errors are none."""
    if isinstance(failure, MCPError):
        return Answer(state=TicketState.FAILED, text=failure.error.model_dump_json(exclude_none=True))
    try:
        said = answered(then(result)) if failure is None else failure_of(tool, failure, clean)
    except Exception as error:  # noqa: BLE001 - the rest of the place around a tool call
        said = failure_of(tool, error, clean)
    text = _json(said)
    if len(text) > LONGEST:
        text = _json(failed(TOO_LONG, OTHER))
    return Answer(state=TicketState.COMPLETED, text=text)


def _json(said: CallToolResult) -> str:
    return said.model_dump_json(by_alias=True, exclude_none=True, exclude={"result_type"})
