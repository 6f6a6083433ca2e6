"""What a policy file decides, in words: who may do what, how much, what is written down, when a person is asked."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from ws_mcp.auth import tokens_path
from ws_mcp.console import home_path
from ws_mcp.core.audit.file import DIRECTORY
from ws_mcp.core.policy.auth import FLAGS, Auth
from ws_mcp.core.policy.limits import Limits
from ws_mcp.core.policy.model import Grant, Policy
from ws_mcp.core.workspaces.model import Sizes
from ws_mcp.core.workspaces.tiers import DEFAULT_TIER
from ws_mcp.doors import limits_of
from ws_mcp.edge.confirming import Confirm
from ws_mcp.oversight import confirm_of, is_audited
from ws_mcp.settings import Settings

ASKED = {
    Confirm.NEVER: "nobody is asked",
    Confirm.AUTO: "the person is asked before what cannot be undone, where the client can ask",
    Confirm.ALWAYS: "the person is asked before what cannot be undone; where the client cannot ask, it is refused",
}


def granted(policy: Policy) -> list[str]:
    """Who may do what, a line for each thing."""
    lines = ["read_only: only tools that change nothing"] if policy.is_read_only else []
    if policy.max_tier > DEFAULT_TIER:
        where = "over HTTP, too" if policy.has_privileged_http else "not over HTTP"
        lines.append(f"privileged: tiers to {policy.max_tier} for those whose grant says so, {where}")
    lines += [] if policy.grants else ["no grants: nobody may do anything"]
    return lines + [_grant(grant, policy) for grant in policy.grants]


def decided(policy: Policy, settings: Settings) -> list[tuple[str, str]]:
    """What else counts with this file and these flags: a topic and a text each."""
    asked = confirm_of(settings, policy)
    return [
        *_limits(policy, settings),
        ("audit", _audit(policy, settings)),
        ("confirm", f"{asked}: {ASKED[asked]}"),
        *_auth(policy.auth, settings),
        ("at HUP", f"all of it counts anew, but for [auth]: {', '.join(FLAGS)} count from the next start"),
    ]


def _grant(grant: Grant, policy: Policy) -> str:
    who = "whoever has no grant of their own" if grant.principal == "*" else grant.principal
    roots = f"{', '.join(map(str, grant.roots))} ({grant.access.value})"
    pulled = " (pulled if missing)" if grant.may_pull else ""
    parts = {
        "tools": ", ".join(grant.tools) or "none",
        "tiers": f"to {min(grant.max_tier, policy.max_tier)}",
        "images": (", ".join(grant.images) or "none") + pulled,
        "folders": roots if grant.roots else "none",
    }
    named = {"templates": grant.templates, "homes": grant.homes, "runtimes": grant.runtimes}
    parts |= {kind: ", ".join(names) for kind, names in named.items() if names}
    also = {"local directories": grant.has_local, "dev containers": grant.has_devcontainers}
    parts |= {kind: "yes" for kind, has in also.items() if has}
    if grant.workspaces is not None:
        parts["workspaces"] = f"to {grant.workspaces} of one chat"
    if sizes := _sizes(grant.largest):
        parts["largest"] = sizes
    return f"{who}: " + "; ".join(f"{name} {value}" for name, value in parts.items())


def _sizes(sizes: Sizes) -> str:
    said = {each.name: getattr(sizes, each.name) for each in fields(Sizes)}
    return ", ".join(f"{name} {value:g}" for name, value in said.items() if value)


def _limits(policy: Policy, settings: Settings) -> list[tuple[str, str]]:
    limits = limits_of(settings, policy, "http") or Limits()
    has_all = limits_of(settings, policy, "stdio") is not None
    on_stdio = "as there" if has_all else "only processes and workspaces of one chat, for the file has no [limits]"
    times = limits.principal_times
    of_chats = {
        "calls_at_once": limits.calls_at_once,
        "calls_per_s": limits.calls_per_s,
        "calls_burst": limits.calls_burst,
        "volumes": limits.volumes,
        "processes (--running)": limits.processes,
        "workspaces (--workspaces)": limits.workspaces,
    }
    of_principals = {name: value * times for name, value in of_chats.items()} | {"streams": limits.streams}
    of_all = {"all_processes": limits.all_processes, "all_workspaces": limits.all_workspaces}
    scopes = (("one chat", of_chats), (f"one principal ({times} chats)", of_principals), ("the server", of_all))
    return [
        ("limits", f"over HTTP as follows; on stdio {on_stdio}"),
        *(
            ("limits", f"of {whose}: {', '.join(f'{name} {most:g}' for name, most in s.items())}")
            for whose, s in scopes
        ),
    ]


def _auth(auth: Auth, settings: Settings) -> list[tuple[str, str]]:
    tokens = f"over HTTP only: tokens of {home_path(str(tokens_path(settings, auth)))}"
    if not auth.issuer:
        return [("auth", tokens)]
    who = "the subject alone" if auth.principal == "subject" else "the hash of issuer, client and subject"
    for_what = auth.audience or auth.resource or "what --oauth-resource says"
    keys = auth.jwks or "where --oauth-jwks says"
    text = f"and those of {auth.issuer} (keys: {keys}) for {for_what}; a principal is {who}"
    return [("auth", tokens), ("auth", text)]


def _audit(policy: Policy, settings: Settings) -> str:
    if not is_audited(settings, "stdio", policy):
        return "off: nothing is written down"
    return f"on, in {home_path(str(Path(settings.state).expanduser().absolute() / DIRECTORY))}"
