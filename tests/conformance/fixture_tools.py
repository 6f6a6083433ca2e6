"""The tools that the scored scenarios call, by the names that the suite gives them; they stand behind our gate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from conformance.fixture_content import (
    DEFAULTS,
    ENUMS,
    IMAGE,
    WAV,
    embedded,
    form_of,
    shown,
    text,
)
from conformance.fixture_rounds import OF_ROUNDS
from conformance.fixture_tasks import JobTools
from mcp import MCPError
from mcp.server.subscriptions import PromptsListChanged, ToolsListChanged
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolResult,
    SamplingMessage,
    TextContent,
)

from ws_mcp.core.errors import StateError
from ws_mcp.core.jobs import Jobs
from ws_mcp.edge import deadlines
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.identity import Identity, request
from ws_mcp.edge.notifier import Notifier
from ws_mcp.edge.progress import reporter
from ws_mcp.edge.tool import Effect, ToolSpec


async def test_simple_text() -> CallToolResult:
    """Answers with a text."""
    return shown("This is a simple text response for testing.")


async def test_image_content() -> CallToolResult:
    """Answers with an image."""
    return shown(IMAGE)


async def test_audio_content() -> CallToolResult:
    """Answers with a sound."""
    return shown(AudioContent(type="audio", data=WAV, mime_type="audio/wav"))


async def test_embedded_resource() -> CallToolResult:
    """Answers with a resource."""
    return shown(embedded("test://embedded-resource", "This is an embedded resource content."))


async def test_multiple_content_types() -> CallToolResult:
    """Answers with a text, an image and a resource."""
    mixed = embedded("test://mixed-content-resource", '{"test": "data", "value": 123}', "application/json")
    return shown("Multiple content types test:", IMAGE, mixed)


async def test_error_handling() -> CallToolResult:
    """Fails as our tools do."""
    raise StateError("This tool intentionally returns an error for testing")


async def test_tool_with_progress() -> CallToolResult:
    """Reports progress as our tools do."""
    report = reporter()
    for done in (0, 50, 100):
        await report(f"Completed step {done} of 100", done / 100)
    return shown("done")


async def test_tool_with_logging() -> CallToolResult:
    """Writes to the log of the client."""
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await request().session.send_log_message("info", words, related_request_id=request().request_id)  # pyright: ignore[reportDeprecated]  # the suite's
    return shown("logged")


async def test_sampling(prompt: str) -> CallToolResult:
    """Asks the client's model in the middle of the call."""
    said = SamplingMessage(role="user", content=text(prompt))
    result = await request().session.create_message(  # pyright: ignore[reportDeprecated]  # the suite's
        [said], max_tokens=100, related_request_id=request().request_id
    )
    assert isinstance(result.content, TextContent)
    return shown(f"LLM response: {result.content.text}")


async def test_elicitation(message: str) -> CallToolResult:
    """Asks the person in the middle of the call."""
    return await _elicited(message, form_of({"response": {"type": "string"}}, required=("response",)))


async def test_elicitation_sep1034_defaults() -> CallToolResult:
    """Asks with defaults of each kind."""
    return await _elicited("Please check what is known of you", form_of(DEFAULTS))


async def test_elicitation_sep1330_enums() -> CallToolResult:
    """Asks with choices of each kind."""
    return await _elicited("Please choose", form_of(ENUMS))


async def _elicited(message: str, form: dict[str, object]) -> CallToolResult:
    result = await request().session.elicit_form(message, form, related_request_id=request().request_id)
    return shown(f"action={result.action}, content={result.content}")


async def test_missing_capability() -> CallToolResult:
    """Is only for clients whose model can be asked."""
    capabilities = request().session.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            "your client has no sampling",
            {"requiredCapabilities": {"sampling": {}}},
        )
    return shown("it has")


SIMPLE = (
    test_simple_text,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_error_handling,
    test_tool_with_progress,
    test_tool_with_logging,
    test_missing_capability,
)
ASKING = (test_sampling, test_elicitation, test_elicitation_sep1034_defaults, test_elicitation_sep1330_enums)


def fixture_tools(jobs: Jobs, _core: Core, _identity: Identity, notifier: Notifier) -> list[ToolSpec]:
    """Every tool of the suite."""

    async def test_trigger_tool_change() -> CallToolResult:
        """Says that the tools changed."""
        await notifier.publish(ToolsListChanged())
        return shown("said")

    async def test_trigger_prompt_change() -> CallToolResult:
        """Says that the prompts changed."""
        await notifier.publish(PromptsListChanged())
        return shown("said")

    functions: tuple[Callable[..., Awaitable[CallToolResult]], ...] = (
        *SIMPLE,
        *ASKING,
        *OF_ROUNDS,
        *JobTools(jobs).all,
        test_trigger_tool_change,
        test_trigger_prompt_change,
    )
    return [
        ToolSpec(function=each, title=each.__name__, effect=Effect(), deadline=deadlines.JOBS, is_structured=False)
        for each in functions
    ]
