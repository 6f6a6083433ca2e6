"""A client of the tasks extension: it gets a task in the place of an answer, and asks for it later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.types import CallToolResult, Request, Result
from pydantic import ConfigDict, Field

from ws_mcp.edge.tasks import TASKS


class Task(Result):
    """A task as it was sent: all fields of the protocol's."""

    model_config = ConfigDict(extra="allow")
    result_type: Literal["task"] = Field(alias="resultType", default="task")

    @property
    def said(self) -> dict[str, Any]:
        """Its fields."""
        return dict(self.model_extra or {})


class Sent(Result):
    """An answer as it was sent."""

    model_config = ConfigDict(extra="allow")


class OfTask(Request[dict[str, Any], str]):
    """A request about a task."""

    name_param = "taskId"


class Tasks(ClientExtension):
    """Declares the extension; a task is looked at by the test itself."""

    identifier = TASKS

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return (ResultClaim(result_type="task", model=Task, resolve=_never),)


async def _never(_task: Task, _context: ClaimContext) -> CallToolResult:
    raise AssertionError("a test asks for its tasks itself")


async def begin(client: Client, tool: str, /, **arguments: Any) -> dict[str, Any]:
    """The task that a call became."""
    result = await client.session.call_tool(tool, arguments, allow_claimed=True)
    assert isinstance(result, Task), result
    return result.said


async def about(client: Client, method: str, task: object, **more: object) -> dict[str, Any]:
    """What is answered to a request about a task."""
    asked = OfTask(method=method, params={"taskId": task, **more})
    result = await client.session.send_request(cast("Any", asked), Sent)
    return dict(result.model_extra or {})
