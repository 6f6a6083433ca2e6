"""The tools that need more than one round: they ask in their answer, and the client calls again (2026-07-28).

They ask as our own tools do, which have a person confirm what cannot be undone.
"""

from __future__ import annotations

from conformance.fixture_content import asks_model, asks_person, given, shown
from mcp.types import (
    CallToolResult,
    CreateMessageResult,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    TextContent,
)

from ws_mcp.edge.confirming import UnansweredError
from ws_mcp.edge.identity import request


async def test_input_required_result_elicitation() -> CallToolResult:
    """Needs an answer of the person."""
    answer = given()[0].get("user_name")
    if isinstance(answer, ElicitResult) and answer.content:
        return shown(f"Hello, {answer.content['name']}!")
    raise _unanswered({"user_name": asks_person("What is your name?", "name")})


async def test_input_required_result_sampling() -> CallToolResult:
    """Needs an answer of the model."""
    answer = given()[0].get("capital_question")
    if isinstance(answer, CreateMessageResult) and isinstance(answer.content, TextContent):
        return shown(f"Model said: {answer.content.text}")
    raise _unanswered({"capital_question": asks_model("What is the capital of France?")})


async def test_input_required_result_list_roots() -> CallToolResult:
    """Needs the roots of the client."""
    answer = given()[0].get("client_roots")
    if isinstance(answer, ListRootsResult):
        return shown(f"{len(answer.roots)} roots")
    raise _unanswered({"client_roots": ListRootsRequest()})


async def test_input_required_result_request_state() -> CallToolResult:
    """Needs an answer, and its own state back."""
    answers, state = given()
    if "confirm" in answers and state == "a nonce":
        return shown("state-ok: confirmation received")
    raise _unanswered({"confirm": asks_person("Please confirm", "ok", "boolean")}, "a nonce")


async def test_input_required_result_multiple_inputs() -> CallToolResult:
    """Needs an answer of everybody."""
    wanted = {
        "user_name": asks_person("What is your name?", "name"),
        "greeting": asks_model("Generate a greeting"),
        "client_roots": ListRootsRequest(),
    }
    if wanted.keys() <= given()[0].keys():
        return shown("All inputs received.")
    raise _unanswered(wanted, "all of them")


async def test_input_required_result_multi_round() -> CallToolResult:
    """Asks a second question when the first was answered."""
    answers, state = given()
    if state == "second" and "step2" in answers:
        return shown("Both are known.")
    if state == "first" and "step1" in answers:
        raise _unanswered({"step2": asks_person("Step 2: What is your favorite color?", "color")}, "second")
    raise _unanswered({"step1": asks_person("Step 1: What is your name?", "name")}, "first")


async def test_input_required_result_tampered_state() -> CallToolResult:
    """Never sees a state that is not its own."""
    if given()[1]:
        return shown("state-ok")
    raise _unanswered({"confirm": asks_person("Please confirm", "ok", "boolean")}, "sealed")


async def test_input_required_result_capabilities() -> CallToolResult:
    """Asks only whom the client says it has."""
    capabilities = request().session.client_capabilities
    wanted: dict[str, InputRequest] = {}
    if capabilities and capabilities.sampling is not None:
        wanted["sample"] = asks_model("Say hello")
    if capabilities and capabilities.elicitation is not None:
        wanted["ask"] = asks_person("What is your name?", "name")
    raise _unanswered(wanted, "gated")


def _unanswered(wanted: dict[str, InputRequest], state: str | None = None) -> UnansweredError:
    return UnansweredError(InputRequiredResult(input_requests=wanted, request_state=state))


OF_ROUNDS = (
    test_input_required_result_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_tampered_state,
    test_input_required_result_capabilities,
)
