"""Whether an act is allowed, and which line of the policy says so (pure).

This is the gate's half: it judges what a call names, before anything is asked. What a call leaves open (the default
image, what a workspace had before) and what only shows later (the digest of an image, where a path leads) is judged in
the core, by the same `WorkspaceRules`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import cast

from ws_mcp.core.errors import ForbiddenError, InvalidArgumentError
from ws_mcp.core.ids import READ, WRITE
from ws_mcp.core.policy.acts import Act, Verdict
from ws_mcp.core.policy.model import Grant, Policy
from ws_mcp.core.policy.narrowing import is_granted, most_of_all
from ws_mcp.core.workspaces.mounts import Access
from ws_mcp.core.workspaces.rules import WorkspaceRules

PROVISION, RECREATE = "provision_workspace", "recreate_devcontainer"
LOOKING = "list_containers"
_PAGE = re.compile(r"ui://\S*")  # nothing of anybody's is in one
_PROCESSES = re.compile(r"ws://chats/[^/]+/processes")
_OUTPUT = re.compile(_PROCESSES.pattern + "/[^/]+/output")


def decide(act: Act, policy: Policy, rules: WorkspaceRules) -> Verdict:
    """The verdict on an act. `rules`: what the policy and the flags leave this principal, by this transport."""
    return next(_refusals(act, policy, rules), Verdict(is_allowed=True, rule=_rule(act, policy, "")))


def _refusals(act: Act, policy: Policy, rules: WorkspaceRules) -> Iterator[Verdict]:
    scope = READ if act.is_read_only else WRITE
    if scope not in act.principal.scopes:
        yield _no(f"scope {scope}", f"your token is not for this: it has no scope {scope}; ask the operator for one")
    if policy.is_read_only and not act.is_read_only:
        yield _no("read_only", f"this server is for reading only: {act.verb} changes something, so it cannot be had")
    grant = policy.grant_of(act.principal.id)
    if grant is None:
        yield _no("no grant", "the operator's policy has no grant for you; ask the operator for one")
    else:
        yield from _not_granted(act, policy, grant, rules)


def _not_granted(act: Act, policy: Policy, grant: Grant, rules: WorkspaceRules) -> Iterator[Verdict]:
    tool = _tool(act)
    if tool and not is_granted(tool, grant.tools):
        yield _no(_rule(act, policy, "tools"), f"the operator's policy does not give you {tool}")
    if act.verb == RECREATE and not grant.has_devcontainers:
        yield _no(_rule(act, policy, "devcontainers"), "the operator's policy gives you no dev containers")
    if act.verb == PROVISION:
        yield from _wishes(act, policy, grant, rules)


def _wishes(act: Act, policy: Policy, grant: Grant, rules: WorkspaceRules) -> Iterator[Verdict]:
    """What a wish for a workspace names and may not."""
    tier, image = act.arguments.get("tier"), act.arguments.get("image")
    if isinstance(tier, int):
        yield from _checked(_tier_rule(act, policy, grant, tier), lambda: rules.level(tier))
    if isinstance(image, str):
        yield from _checked(_rule(act, policy, "images"), lambda: rules.check_name(image))
    if act.arguments.get("kind") == "local":
        yield from _checked(_rule(act, policy, "local"), rules.check_local)
    for kind, known in (("runtime", rules.runtimes), ("template", rules.templates), ("home", rules.homes)):
        name = _option(act, kind)
        if isinstance(name, str) and name and name not in known:
            yield _no(_rule(act, policy, f"{kind}s"), f"there is no {kind} {name[:60]!r} that you may have")
    yield from _folders(act, policy, rules)


def _folders(act: Act, policy: Policy, rules: WorkspaceRules) -> Iterator[Verdict]:
    """The paths of the host, by their text: where they lead is seen when they are opened."""
    folder, mounts, access = (_option(act, name) for name in ("folder", "mounts", "access"))
    paths = [folder, *(cast("Mapping[str, object]", mounts).values() if isinstance(mounts, Mapping) else ())]
    for path in paths:
        if isinstance(path, str) and path and not any(PurePath(path).is_relative_to(root) for root in rules.roots):
            yield _no(
                _rule(act, policy, "roots"), f"{path[:200]!r} is not below a directory that the operator gives you"
            )
    if folder and isinstance(access, str) and access in tuple(Access):
        yield from _checked(_rule(act, policy, "access"), lambda: rules.check_folder(Access(access)))


def _checked(rule: str, check: Callable[[], object]) -> Iterator[Verdict]:
    try:
        check()
    except ForbiddenError as error:
        yield _no(rule, str(error))
    except InvalidArgumentError:
        return  # the tool says so itself


def _tier_rule(act: Act, policy: Policy, grant: Grant, tier: int) -> str:
    if tier > policy.max_tier:
        return "privileged.max_tier"
    if tier > most_of_all(policy, act.transport):
        return "privileged.over_http"
    return _rule(act, policy, "max_tier") if tier > grant.max_tier else "--max-tier"


def _tool(act: Act) -> str:
    """The tool whose grant an act needs: its own, or for an address the tool that shows the same."""
    if not act.target:
        return "" if "/" in act.verb else act.verb
    if _PAGE.fullmatch(act.target):
        return ""
    if _OUTPUT.search(act.target):
        return "read_output"
    return "list_processes" if _PROCESSES.search(act.target) else LOOKING


def _option(act: Act, name: str) -> object:
    """An option as the tool has it, on an object of the edge's."""
    return getattr(act.arguments.get("options"), name, None)


def _rule(act: Act, policy: Policy, key: str) -> str:
    grant = policy.grant_of(act.principal.id)
    return f"grant {grant.principal!r}" + (f": {key}" if key else "") if grant else ""


def _no(rule: str, reason: str) -> Verdict:
    return Verdict(is_allowed=False, rule=rule, reason=reason)
