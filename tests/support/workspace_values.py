"""Values for the tests of workspaces: an owner, a ground, and a container as an engine would show it for a request."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from ws_mcp.core.engine.model import Container, ContainerSpec, ContainerState, Image
from ws_mcp.core.ids import ChatId, ContainerId, PlaceId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.workspaces.model import WorkspaceKind, WorkspaceSpec
from ws_mcp.core.workspaces.recipe import Digests, Recipe, recipe_of
from ws_mcp.core.workspaces.request import Ground, container_spec
from ws_mcp.core.workspaces.rules import WorkspaceRules

KEY = b"k" * 32
SCOPE = Scope(principal=PrincipalId("local:0"), chat=ChatId("c1"))
NAME = WorkspaceName("main")
NOTHING = Digests()
WISH = WorkspaceSpec(name=NAME, kind=WorkspaceKind.CONTAINER, image="img:1")
RULES = WorkspaceRules(max_tier=4)
IMAGE = Image(
    id="sha256:1",
    tags=("img:1",),
    architecture="amd64",
    entrypoint=("/e",),
    command=("c",),
    environment={"PATH": "/bin", "LANG": "C"},
)
GROUND = Ground(
    instance="i",
    key=KEY,
    scope=SCOPE,
    workspace=NAME,
    place=PlaceId("wsmcp-x"),
    execd_volume="wsmcp-execd-i-0",
    mount="/.ws-mcp",
    binary="/.ws-mcp/execd",
    socket_directory="/dev/shm/.x",
    keep_ended=100,
    network="wsmcp-x-net",
)


def recipe(wish: WorkspaceSpec = WISH, recorded: Recipe | None = None, digests: Digests = NOTHING) -> Recipe:
    return recipe_of(wish, recorded, RULES, digests)


def request(made: Recipe, ground: Ground = GROUND, image: Image = IMAGE) -> ContainerSpec:
    level = replace(RULES.level(made.tier), sizes=RULES.sizes_of(made.tier, made.sizes))
    return container_spec(made, image, level, ground)


def shown(spec: ContainerSpec, state: ContainerState = ContainerState.RUNNING, image: Image = IMAGE) -> Container:
    """What an engine shows of a container that was made as `spec` says."""
    return Container(
        id=ContainerId("f" * 64),
        name=spec.name,
        image=spec.image,
        image_id=image.id,
        state=state,
        labels=spec.labels,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        published=spec.published,
        mounts=spec.mounts,
        entrypoint=spec.entrypoint or image.entrypoint,
        command=spec.command or (),
        user=spec.user or image.user,
        working_dir=spec.working_dir,
        environment={**image.environment, **spec.environment, "HOSTNAME": "f" * 12},
        limits=spec.limits,
        network=spec.network,
        networks=() if spec.network == "none" else (spec.network,),
        is_privileged=spec.is_privileged,
        is_read_only=spec.is_read_only,
        pid_mode=spec.pid_mode,
        restart=spec.restart,
        cap_add=spec.cap_add,
        cap_drop=spec.cap_drop,
        security_options=spec.security_options,
        log_max_bytes=spec.log_max_bytes,
    )
