"""What is to be done for a container workspace, and what the engine is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ws_mcp.core.engine.model import Container, ContainerState, Image, Published, TmpfsMount, VolumeMount
from ws_mcp.core.errors import ConflictError, InvalidArgumentError
from ws_mcp.core.ids import ChatId, ContainerId, PlaceId, PrincipalId, Scope, WorkspaceName
from ws_mcp.core.workspaces import naming
from ws_mcp.core.workspaces.model import WorkspaceKind, WorkspaceSpec
from ws_mcp.core.workspaces.plan import Ground, Step, check_environment, check_ports, container_spec, plan_workspace

KEY = b"k" * 32
SCOPE = Scope(principal=PrincipalId("local:0"), chat=ChatId("c1"))
SPEC = WorkspaceSpec(name=WorkspaceName("main"), kind=WorkspaceKind.CONTAINER, image="img:1", tier=2, has_volume=True)
IMAGE = Image(id="sha256:1", tags=("img:1",), architecture="amd64", entrypoint=("/e",), command=("c",))
GROUND = Ground(
    instance="i",
    key=KEY,
    scope=SCOPE,
    place=PlaceId("wsmcp-x"),
    execd_volume="v",
    mount="/.ws-mcp",
    binary="/.ws-mcp/execd",
    socket_directory="/dev/shm/.x",
    keep_ended=100,
)


def found(state: ContainerState, spec: WorkspaceSpec = SPEC) -> Container:
    request = container_spec(spec, IMAGE, GROUND, "verifier")
    return Container(
        id=ContainerId("f" * 64),
        name=request.name,
        image=spec.image,
        image_id="sha256:1",
        state=state,
        labels=request.labels,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (ContainerState.RUNNING, Step.NOTHING),
        (ContainerState.RESTARTING, Step.NOTHING),
        (ContainerState.EXITED, Step.START),
        (ContainerState.DEAD, Step.START),
        (ContainerState.CREATED, Step.REPLACE),
    ],
)
def test_what_is_found_decides_the_step(state: ContainerState, step: Step) -> None:
    assert plan_workspace(SPEC, KEY, found(state)) is step


def test_nothing_found_means_create() -> None:
    assert plan_workspace(SPEC, KEY, None) is Step.CREATE


def test_a_container_with_copied_labels_is_never_taken_over() -> None:
    copied = replace(found(ContainerState.RUNNING), name="wsmcp-other")
    with pytest.raises(ConflictError, match="did not make"):
        plan_workspace(SPEC, KEY, copied)


def test_another_spec_is_a_conflict_that_says_what_differs() -> None:
    with pytest.raises(ConflictError, match=r"tier is 2, not 1.*remove_workspace"):
        plan_workspace(replace(SPEC, tier=1), KEY, found(ContainerState.RUNNING))


def test_a_paused_container_is_left_to_who_paused_it() -> None:
    with pytest.raises(ConflictError, match="paused"):
        plan_workspace(SPEC, KEY, found(ContainerState.PAUSED))


def test_execd_runs_the_images_own_command() -> None:
    request = container_spec(SPEC, IMAGE, GROUND, "verifier")
    assert request.entrypoint is not None
    assert request.entrypoint[0] == "/.ws-mcp/execd"
    assert request.entrypoint[-3:] == ("--", "/e", "c")
    assert request.command == ()


def test_the_container_learns_the_verifier_and_never_the_secret() -> None:
    request = container_spec(SPEC, IMAGE, GROUND, naming.verifier_of(naming.secret_of(KEY, GROUND.place)))
    assert naming.secret_of(KEY, GROUND.place) not in repr(request)


def test_tier_1_has_no_capabilities_no_network_and_a_read_only_root() -> None:
    request = container_spec(replace(SPEC, tier=1), IMAGE, GROUND, "v")
    assert request.cap_drop == ("ALL",)
    assert request.network == "none"
    assert request.is_read_only
    assert request.user == "65532:65532"
    assert "no-new-privileges" in request.security_options
    assert (request.limits.memory_bytes, request.limits.cpus, request.limits.pids) == (256 << 20, 0.5, 64)
    assert any(isinstance(mount, TmpfsMount) and "noexec" in mount.options for mount in request.mounts)


def test_tier_2_has_its_limits_and_keeps_the_images_user() -> None:
    request = container_spec(SPEC, IMAGE, GROUND, "v")
    assert request.user == ""
    assert (request.limits.memory_bytes, request.limits.cpus, request.limits.pids) == (512 << 20, 1.0, 256)
    assert "NET_RAW" in request.cap_drop
    assert "no-new-privileges" in request.security_options


def test_execd_is_mounted_read_only_and_the_data_is_not() -> None:
    mounts = {m.target: m for m in container_spec(SPEC, IMAGE, GROUND, "v").mounts if isinstance(m, VolumeMount)}
    assert mounts["/.ws-mcp"].is_read_only
    assert not mounts["/workspace"].is_read_only


def test_ports_are_published_on_loopback_only() -> None:
    request = container_spec(replace(SPEC, ports=(8000,)), IMAGE, GROUND, "v")
    assert request.published == (Published(container_port=8000, host_ip="127.0.0.1", host_port=0),)


def test_the_callers_environment_does_not_replace_ours() -> None:
    request = container_spec(replace(SPEC, environment={"WS_MCP_TIER": "9", "A": "1"}), IMAGE, GROUND, "v")
    assert request.environment["WS_MCP_TIER"] == "2"
    assert request.environment["A"] == "1"


@pytest.mark.parametrize("tier", [-1, 3, 4, 9])
def test_an_unknown_tier_is_an_error_and_never_another_tier(tier: int) -> None:
    with pytest.raises(InvalidArgumentError, match=f"tier {tier}"):
        container_spec(replace(SPEC, tier=tier), IMAGE, GROUND, "v")


@pytest.mark.parametrize(
    "environment",
    [
        {"": "1"},
        {"A=B": "1"},
        {"1A": "x"},
        {"A-B": "x"},
        {"WSMCP_VERIFIER": "x"},
        {"A": "x\0"},
        {"Ä": "x"},
        {"A": "x" * 200_000},
    ],
)
def test_an_environment_that_cannot_be_given_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentError):
        check_environment(replace(SPEC, environment=environment))


@pytest.mark.parametrize("ports", [(0,), (65536,), (80, 80), tuple(range(1, 40))])
def test_ports_that_cannot_be_published_are_refused(ports: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgumentError):
        check_ports(replace(SPEC, ports=ports))


def test_tier_1_cannot_publish_ports() -> None:
    with pytest.raises(InvalidArgumentError, match="tier 1 has no network"):
        check_ports(replace(SPEC, tier=1, ports=(80,)))
