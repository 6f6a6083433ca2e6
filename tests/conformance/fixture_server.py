"""A server of our pipeline that has what the conformance suite asks for, in place of our tools and resources.

The middleware, the gate with its policy and its quotas, the notifier and the HTTP serving are the real ones.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
from conformance.fixture_content import IMAGE, PNG, asks_person, embedded, given
from conformance.fixture_tools import fixture_tools
from mcp.server import MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import Completion, ElicitResult, EmptyResult, InputRequiredResult, SetLevelRequestParams
from support.conformance import open_port
from support.fake_core import FakeCore

from ws_mcp.core.jobs import open_jobs
from ws_mcp.core.policy.in_force import PolicyInForce
from ws_mcp.core.policy.limits import Limits
from ws_mcp.core.policy.model import OPEN
from ws_mcp.core.quotas import Quotas
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.guards import Guards
from ws_mcp.edge.http_choices import HttpChoices
from ws_mcp.edge.http_serving import serve_http
from ws_mcp.edge.identity import Identity, Request, local_principal
from ws_mcp.edge.notifier import Notifier
from ws_mcp.edge.serve import Stop
from ws_mcp.server import Offer, build_server

WATCHED = "test://watched-resource"


@asynccontextmanager
async def open_fixture_server(directory: Path) -> AsyncGenerator[str]:
    """Serve the fixtures at a unix socket; what is yielded is the URL of a port whose bytes reach it."""
    path, stop, listens = directory / "socket", Stop(), anyio.Event()
    quotas = Quotas(Limits, time.monotonic)
    policy = PolicyInForce(lambda: OPEN, WorkspaceRules(), "http")
    guards = Guards(decide=policy.decide, admit=quotas.admit, transport="http")
    core = FakeCore()
    identity = Identity(core, local_principal, None)
    async with open_jobs() as jobs, open_port(path) as (port, names), anyio.create_task_group() as tasks:
        server = build_server(
            core,
            default_hint=None,
            notifier=Notifier(topic_of, identity.watcher),
            guards=guards,
            offer=Offer(tools=partial(fixture_tools, jobs), add=add_fixtures),
        )
        choices = HttpChoices(unix=str(path), allowed_hosts=names)
        tasks.start_soon(
            partial(serve_http, server, stop, choices, None, lambda _: listens.set(), hold_stream=quotas.stream)
        )
        await listens.wait()
        yield f"http://localhost:{port}/mcp"
        stop.ask()


async def topic_of(uri: str) -> str | None:
    """What can be watched."""
    return uri if uri == WATCHED else None


def add_fixtures(server: MCPServer, _core: Core, _identity: Identity) -> None:
    """Resources, prompts and completion; and the level of the log, for which our server has nothing."""
    server.resource("test://static-text", mime_type="text/plain")(static_text)
    server.resource("test://static-binary", mime_type="image/png")(static_binary)
    server.resource("test://template/{id}/data", mime_type="application/json")(template)
    server.resource(WATCHED, mime_type="text/plain")(watched)
    server.prompt()(test_simple_prompt)
    server.prompt()(test_prompt_with_arguments)
    server.prompt()(test_prompt_with_embedded_resource)
    server.prompt()(test_prompt_with_image)
    server.prompt()(test_input_required_result_prompt)
    server.completion()(complete)
    # The SDK has no public way to take requests of one more method.
    server._lowlevel_server.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)


def static_text() -> str:
    """A text."""
    return "This is the content of the static text resource."


def static_binary() -> bytes:
    """An image."""
    return base64.b64decode(PNG)


def template(id: str) -> str:  # noqa: A002 - the suite's name
    """A text about an id."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def watched() -> str:
    """A text that clients subscribe to."""
    return "Watched resource content"


async def complete(*_: object) -> Completion:
    """Knows nothing that would complete anything."""
    return Completion(values=[], total=0, has_more=False)


async def set_level(_ctx: Request, _params: SetLevelRequestParams) -> EmptyResult:
    """Takes any level of the log."""
    return EmptyResult()


def test_simple_prompt() -> list[UserMessage]:
    """A prompt without arguments."""
    return [UserMessage("This is a simple prompt for testing.")]


def test_prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
    """A prompt with two arguments."""
    return [UserMessage(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")]


def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's name
    """A prompt with a resource in it."""
    return [UserMessage(embedded(resourceUri, "Embedded resource content for testing.")), UserMessage("Look at it.")]


def test_prompt_with_image() -> list[UserMessage]:
    """A prompt with an image in it."""
    return [UserMessage(IMAGE), UserMessage("Please analyze the image above.")]


async def test_input_required_result_prompt() -> list[UserMessage] | InputRequiredResult:
    """A prompt that needs an answer of the person."""
    answer = given()[0].get("user_context")
    if isinstance(answer, ElicitResult) and answer.content:
        return [UserMessage(f"Use the following context: {answer.content['context']}")]
    return InputRequiredResult(input_requests={"user_context": asks_person("What context?", "context")})
