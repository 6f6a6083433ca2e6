"""From settings to doors: which engine, and what the core is told of the operator's choices."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ws_mcp.core.choices import Choices
from ws_mcp.core.devcontainers.choices import DevContainerChoices
from ws_mcp.core.engine.docker import DockerEngine
from ws_mcp.core.engine.node_ways import node_ways_of
from ws_mcp.core.engine.nodes import open_swarm
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.placement.opening import Swarm
from ws_mcp.core.policy.acts import Transport
from ws_mcp.core.policy.limits import Limits, LimitsNow, unlimited
from ws_mcp.core.processes.limits import ProcessLimits
from ws_mcp.core.runtime import Core, open_core
from ws_mcp.core.workspaces.local import LocalRules
from ws_mcp.core.workspaces.model import Sizes
from ws_mcp.core.workspaces.rules import LARGEST, WorkspaceRules
from ws_mcp.own_files import key_file, own_files
from ws_mcp.settings import MAX_TIER, Settings

if TYPE_CHECKING:  # a server without a policy does not load what reads one, nor one without HTTP what that needs
    from ws_mcp.core.policy.auth import Auth
    from ws_mcp.core.policy.in_force import PolicyInForce
    from ws_mcp.core.policy.model import Policy
    from ws_mcp.edge.http_choices import HttpChoices

NO_ENGINE = "none"

log = logging.getLogger(__name__)


def policy_of(settings: Settings, transport: Transport) -> PolicyInForce | None:
    """Who may do what. Without a file the flags say it, for all; None: nothing but the flags.

    Raises:
        PolicyError: there is a file, and it cannot be used.
    """
    if settings.policy is None and transport == "stdio" and not settings.read_only:
        return None
    policy = policy_in_force(settings, transport)
    if policy.policy.auth.said:
        log.warning("[auth] of the policy is about HTTP and counts for nothing here: who asks is this machine's user")
    return policy


def policy_in_force(
    settings: Settings, transport: Transport, flags: Auth | None = None, http: HttpChoices | None = None
) -> PolicyInForce:
    """As `policy_of`; without a file all may have what the flags allow, over HTTP no tier that is root on the host.

    `flags`: what they say of whose tokens are good; None where nobody is asked for any.
    """
    from ws_mcp.auth import policy_with  # noqa: PLC0415 - only who has a policy pays for them
    from ws_mcp.core.policy.auth import Auth  # noqa: PLC0415 - as above
    from ws_mcp.core.policy.in_force import PolicyInForce  # noqa: PLC0415 - as above
    from ws_mcp.core.policy.model import OPEN  # noqa: PLC0415 - as above

    file, said = settings.policy, flags or Auth()

    def read() -> Policy:
        return replace(OPEN, auth=said) if file is None else policy_with(settings, file, said)

    widest = widest_of(settings, http)
    widest = replace(widest, closed=(*widest.closed, *key_file(said.jwks)))
    return PolicyInForce(read, widest, transport, is_read_only=settings.read_only)


def widest_of(settings: Settings, http: HttpChoices | None = None) -> WorkspaceRules:
    """What anybody may at most. With a policy file a flag that is not given narrows nothing: the file has the word."""
    rules = rules_of(settings, http)
    if settings.policy is None:
        return rules
    given = settings.model_fields_set
    return replace(
        rules,
        max_tier=rules.max_tier if "max_tier" in given else MAX_TIER,
        roots=rules.roots if "root" in given else (Path("/"),),
        may_pull=rules.may_pull if "pull" in given else True,
    )


def given_roots(settings: Settings, policy: PolicyInForce | None) -> tuple[Path, ...]:
    """Below which anybody may be given folders."""
    if policy is None or settings.policy is None:
        return settings.root
    from ws_mcp.core.policy.narrowing import common  # noqa: PLC0415 - as above

    granted = (root for grant in policy.policy.grants for root in common(widest_of(settings).roots, grant.roots))
    return tuple(dict.fromkeys((*settings.root, *granted)))


def choices_of(
    settings: Settings,
    policy: PolicyInForce | None = None,
    limits: LimitsNow = unlimited,
    http: HttpChoices | None = None,
    *,
    may_stand_in: bool = False,
) -> Choices:
    """What the core is told. `may_stand_in`: see `open_state`."""
    rules = rules_of(settings, http)
    return Choices(
        state=settings.state.expanduser().absolute(),
        database=settings.state_database,
        may_stand_in=may_stand_in,
        workspaces=rules,
        narrowed=policy.rules_of if policy else None,
        local=LocalRules(
            may_run_unsandboxed=settings.allow_host_processes,
            has_network=settings.local_network,
            keep_ended=settings.ended,
        ),
        devcontainers=DevContainerChoices(
            roots=settings.root,
            closed=rules.closed,
            allow=settings.devcontainer_allow,
            cli=settings.devcontainer_cli,
            engine=settings.engine,
            labels=settings.devcontainer_label,
        ),
        keeps_local=settings.keep_local,
        ceilings=limits,
        limits=ProcessLimits(
            running=settings.running,
            ended=settings.ended,
            head_bytes=settings.head_bytes,
            tail_bytes=settings.tail_bytes,
        ),
    )


def limits_now(settings: Settings, policy: PolicyInForce | None, transport: Transport) -> LimitsNow:
    """How much callers may ask for, by the policy of the moment."""
    return lambda: limits_of(settings, policy and policy.policy, transport)


def limits_of(settings: Settings, policy: Policy | None, transport: Transport) -> Limits | None:
    """How much callers may ask for; None: as they like, for there is only one of them."""
    said = policy.limits if policy else None
    if said is None and transport == "stdio":
        return None
    return replace(said or Limits(), processes=settings.running, workspaces=settings.workspaces)


def rules_of(settings: Settings, http: HttpChoices | None = None) -> WorkspaceRules:
    """What workspaces may be."""
    return WorkspaceRules(
        max_tier=settings.max_tier,
        sizes=_sizes_by_tier(settings.size),
        largest=_laid_over(settings.largest, LARGEST),
        runtimes=settings.runtime,
        default_image=settings.image,
        may_pull=settings.pull,
        roots=settings.root,
        closed=own_files(settings, http),
        templates=settings.template,
        homes=settings.home,
        server_url=settings.server_url,
        container_runtime=settings.container_runtime,
        workspaces=settings.workspaces,
        keep_ended=settings.ended,
        volume_mib=settings.volume_mib,
        idle_stop_s=settings.idle_stop_s,
    )


def _sizes_by_tier(said: Mapping[str, float]) -> dict[int, Sizes]:
    by_tier: dict[int, dict[str, float]] = {}
    for key, value in said.items():
        tier, _, name = key.partition(".")
        by_tier.setdefault(int(tier), {})[name] = value
    return {tier: _laid_over(values, Sizes()) for tier, values in by_tier.items()}


def _laid_over(said: Mapping[str, float], sizes: Sizes) -> Sizes:
    return replace(sizes, **{name: value if name == "cpus" else int(value) for name, value in said.items()})


@asynccontextmanager
async def open_engine(settings: Settings) -> AsyncGenerator[Engine | None]:
    """The engine door, or None where the operator wants none. It connects with the first call, not here."""
    if settings.engine == NO_ENGINE:
        yield None
        return
    engine = DockerEngine(settings.engine)
    try:
        yield engine
    finally:
        await engine.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What the core is given: the engine, and the swarm that it belongs to, where workspaces are placed on one."""

    engine: Engine | None
    swarm: Swarm | None = None


@asynccontextmanager
async def open_doors(settings: Settings) -> AsyncGenerator[Doors]:
    """The doors that the operator wants. They connect with the first call, not here.

    Raises:
        InvalidArgumentError: the settings do not go together.
    """
    async with open_engine(settings) as engine:
        if settings.placement == "single":
            yield Doors(engine=engine)
            return
        if engine is None:
            raise InvalidArgumentError("--placement swarm needs an engine, which is a manager of the swarm: --engine")
        ways = node_ways_of(settings.node, settings.node_tls)
        async with open_swarm(settings.engine, ways) as (managers, engines):
            swarm = Swarm(managers=managers, engines=engines, constraints=settings.constraint)
            yield Doors(engine=engine, swarm=swarm)


def open_core_of(choices: Choices, doors: Doors) -> AbstractAsyncContextManager[Core]:
    """The core behind these doors."""
    return open_core(choices, doors.engine, swarm=doors.swarm)
