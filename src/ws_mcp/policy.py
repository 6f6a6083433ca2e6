"""`ws-mcp policy`: checks a policy file, and says what it would answer to a call, by the code that the server uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from mcp.server.mcpserver.tools import Tool
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ws_mcp.auth import flags_of, policy_with
from ws_mcp.console import Console, Mark, Style, console, home_path
from ws_mcp.core.errors import InvalidArgumentError, PolicyError
from ws_mcp.core.ids import SCOPES, Principal, PrincipalId
from ws_mcp.core.policy.acts import Act, Transport, Verdict
from ws_mcp.core.policy.auth import FLAGS
from ws_mcp.core.policy.model import Policy
from ws_mcp.core.policy.narrowing import is_granted
from ws_mcp.doors import policy_in_force
from ws_mcp.edge.arguments import checked
from ws_mcp.edge.bounded import Bounded
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.gate import Gate
from ws_mcp.edge.guards import Guards
from ws_mcp.edge.identity import Identity, local_principal
from ws_mcp.edge.notifier import Notifier
from ws_mcp.edge.tasks import Tasks
from ws_mcp.edge.tool import ToolSpec, tool_of
from ws_mcp.edge.watching import topics
from ws_mcp.policy_shown import decided, granted
from ws_mcp.settings import Settings
from ws_mcp.tools import all_tools


class Call(BaseModel):
    """A call as it is asked about: a tool with its arguments, or the address of a resource."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    principal: str = Field(default_factory=lambda: local_principal().id)
    transport: Transport = "stdio"
    scopes: Annotated[list[Literal["ws:read", "ws:write"]], Field(strict=False)] = sorted(SCOPES)  # pyright: ignore[reportAssignmentType]  # they are those
    tool: str = ""
    arguments: dict[str, Any] = {}
    resource: str = ""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.tool) == bool(self.resource):
            raise ValueError("names a `tool` or a `resource`, one of them")
        return self


def check(settings: Settings, file: str) -> int:
    """Print what is wrong with a file, or all that it decides; the exit code is 1 if it cannot be used."""
    shown, path = console(), Path(file).expanduser().absolute()
    try:
        policy = policy_with(settings, path, flags_of(settings))
    except PolicyError as error:
        for problem in error.problems:
            shown.line(f"{shown.mark(Mark.BAD)} {problem}")
        return 1
    shown.line(f"{shown.mark(Mark.OK)} {home_path(str(path))} can be used")
    with_file = settings.model_copy(update={"policy": path})
    for line in (*granted(policy), *(f"{topic}: {text}" for topic, text in decided(policy, with_file))):
        shown.line(f"  {line}")
    for doubt in doubts(policy):
        shown.line(f"{shown.mark(Mark.WARN)} {doubt}")
    return 0


def explain(settings: Settings, file: str) -> int:
    """Print what the policy says to a call; the exit code is 1 if it is refused.

    Raises:
        InvalidArgumentError: it is no call.
        PolicyError: there is no usable policy.
    """
    call = _call(file)
    policy = policy_in_force(settings, call.transport)
    act = _act(call)
    verdict = policy.decide(act)
    _show(console(), act, verdict)
    return int(not verdict.is_allowed)


def doubts(policy: Policy) -> list[str]:
    """What is allowed to be written so and is hardly meant."""
    known = tools()
    found = [
        f"{grant.principal}: no tool is called {pattern!r}; there are {', '.join(known)}"
        for grant in policy.grants
        for pattern in grant.tools
        if not any(is_granted(name, (pattern,)) for name in known)
    ]
    found += [
        f"{grant.principal}: max_tier is {grant.max_tier}, and [privileged] max_tier is {policy.max_tier}, which counts"
        for grant in policy.grants
        if grant.max_tier > policy.max_tier
    ]
    if missing := policy.auth.missing:
        flags = ", ".join(FLAGS[key] for key in missing)
        found.append(f"[auth] does not say {', '.join(missing)}: over HTTP only servers with {flags} start")
    pairs = [(one, other) for one in policy.grants for other in policy.grants if one is not other]
    found += [
        f"{other.principal}'s {inner} is below {one.principal}'s {outer}: who may write there may put anything in its "
        "place; give them roots beside each other"
        for one, other in pairs
        for outer in one.roots
        for inner in other.roots
        if inner != outer and inner.is_relative_to(outer)
    ]
    return found


def tools() -> dict[str, Tool]:
    """The tools of this server, to look at: nothing stands behind them."""
    identity = Identity(cast("Core", None), local_principal, None)
    tasks = Tasks(identity, cast("Core", None))
    made = (tool_of(spec, Gate(identity, Guards()), tasks, Bounded()) for spec in tool_specs())
    return {tool.name: tool for tool in made}


def tool_specs() -> tuple[ToolSpec, ...]:
    """What the tools are made of, to look at."""
    core = cast("Core", None)
    identity = Identity(core, local_principal, None)
    return all_tools(core, identity, Notifier(topics(identity), identity.watcher))


def _call(file: str) -> Call:
    try:
        return Call.model_validate(json.loads(Path(file).read_bytes()))
    except OSError as error:
        raise InvalidArgumentError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors(include_input=False)
        )
        raise InvalidArgumentError(f"{file} is no call: {'; '.join(problems)}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"{file} is no JSON: {error}") from error


def _act(call: Call) -> Act:
    principal = Principal(id=PrincipalId(call.principal), scopes=frozenset(call.scopes))
    if call.resource:
        return Act(
            principal=principal,
            verb="resources/read",
            target=call.resource,
            is_read_only=True,
            transport=call.transport,
        )
    known = tools()
    if call.tool not in known:
        raise InvalidArgumentError(f"there is no tool {call.tool[:60]!r}; there are {', '.join(known)}")
    tool = known[call.tool]
    return Act(
        principal=principal,
        verb=call.tool,
        is_read_only=bool(tool.annotations and tool.annotations.read_only_hint),
        transport=call.transport,
        arguments=checked(tool, call.arguments),
    )


def _show(shown: Console, act: Act, verdict: Verdict) -> None:
    what = act.verb if not act.target else act.target
    word, style = ("allowed", Style.GREEN) if verdict.is_allowed else ("refused", Style.RED)
    shown.line(f"{word}: {what} for {act.principal.id} over {act.transport}", style)
    shown.line(f"  rule: {verdict.rule}")
    if verdict.reason:
        shown.line(f"  {verdict.reason}")
