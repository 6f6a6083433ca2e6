"""Every way in which a container can differ from what it should be, seen and said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.workspace_values import GROUND, IMAGE, WISH, recipe, request, shown

from ws_mcp.core.engine.model import BindMount, Container, ContainerState, Published, TmpfsMount, VolumeMount
from ws_mcp.core.workspaces.drift import drift
from ws_mcp.core.workspaces.model import Content, Sizes
from ws_mcp.core.workspaces.recipe import Digests

WANTED = request(recipe(replace(WISH, ports=(80,), environment={"A": "1"})))
FOUND = shown(WANTED)
Change = Callable[[Container], Container]


def changed(**members: object) -> Change:
    return lambda found: replace(found, **members)  # pyright: ignore[reportArgumentType] - by the table below


DRIFTS: list[tuple[Change, str]] = [
    (changed(image="img:2"), "image is img:2, not img:1"),
    (changed(image_id="sha256:old0"), "means another image now"),
    (changed(entrypoint=("sh",)), "entry command"),
    (changed(command=("sleep",)), "its command"),
    (changed(user="1000"), "user is '1000', not 'root'"),
    (changed(working_dir="/"), "working directory is /"),
    (changed(environment={**FOUND.environment, "A": "2"}), "environment differs in A"),
    (changed(environment={**FOUND.environment, "LD_PRELOAD": "x"}), "environment has LD_PRELOAD besides"),
    (changed(environment={n: v for n, v in FOUND.environment.items() if n != "WS_MCP_TIER"}), "differs in WS_MCP_TIER"),
    (changed(mounts=FOUND.mounts[:1]), "nothing is mounted at /workspace"),
    (changed(mounts=(*FOUND.mounts, BindMount(source="/", target="/host"))), "something is mounted at /host"),
    (changed(mounts=(*FOUND.mounts, VolumeMount(volume="v", target="/v"))), "something is mounted at /v"),
    (changed(mounts=(*FOUND.mounts, TmpfsMount(target="/t", options=""))), "something is mounted at /t"),
    (
        changed(mounts=tuple(replace(m, volume="other") if isinstance(m, VolumeMount) else m for m in FOUND.mounts)),
        "what is mounted at /workspace is not what should be",
    ),
    (
        changed(
            mounts=tuple(replace(m, is_read_only=False) if isinstance(m, VolumeMount) else m for m in FOUND.mounts)
        ),
        "what is mounted at /.ws-mcp is not what should be",
    ),
    (changed(published=()), "published ports are none, not 127.0.0.1:80"),
    (
        changed(published=(Published(container_port=80, host_ip="0.0.0.0"),)),
        "published ports are 0.0.0.0:80, not 127.0.0.1:80",
    ),
    (changed(limits=replace(FOUND.limits, memory_bytes=1)), "memory_bytes is 1"),
    (changed(limits=replace(FOUND.limits, cpus=64.0)), "cpus is 64.0, not 1.0"),
    (changed(limits=replace(FOUND.limits, pids=0)), "pids is 0, not 256"),
    (changed(log_max_bytes=1), "log size is 1, not 10485760"),
    (changed(is_privileged=True), "privileged is True, not False"),
    (changed(is_read_only=True), "read-only root is True, not False"),
    (changed(pid_mode="host"), "process namespace is host, not own"),
    (changed(cap_add=("SYS_ADMIN",)), "capabilities: SYS_ADMIN too many"),
    (changed(cap_drop=()), "NET_RAW, SETFCAP too many"),
    (changed(security_options=()), "security options are none"),
    (changed(network="host"), "its network is another one"),
    (changed(networks=("wsmcp-x-net", "bridge")), "it joined 1 more network"),
    (changed(restart="unless-stopped"), "restart is unless-stopped, not no"),
    (changed(labels={}), "labels are other ones"),
]


@pytest.mark.parametrize(("change", "text"), DRIFTS, ids=[text for _, text in DRIFTS])
def test_each_difference_is_a_reason_of_its_own(change: Change, text: str) -> None:
    reasons = drift(WANTED, change(FOUND), IMAGE)
    assert any(text in reason for reason in reasons), reasons
    assert len(reasons) <= 2


@pytest.mark.parametrize("tier", [1, 2, 3, 4])
def test_what_was_made_as_asked_for_does_not_differ(tier: int) -> None:
    wish = replace(WISH, tier=tier, sizes=Sizes(memory_mib=300), content=Content())
    made = recipe(wish, digests=Digests(template="t", secrets="s", home="h"))
    wanted = request(made, replace(GROUND, engine_socket="/var/run/docker.sock"))
    for state in (ContainerState.RUNNING, ContainerState.EXITED):
        assert drift(wanted, shown(wanted, state), IMAGE) == ()


def test_no_value_of_a_variable_is_repeated() -> None:
    found = replace(FOUND, environment={**FOUND.environment, "A": "s3cret"})
    assert "s3cret" not in " ".join(drift(WANTED, found, IMAGE))


def test_what_engines_add_on_their_own_is_no_difference() -> None:
    own = VolumeMount(volume="a" * 64, target="/var/lib/data")
    added = {"HOSTNAME": "x", "HOME": "/root", "TERM": "xterm", "container": "podman"}
    found = replace(FOUND, environment={**FOUND.environment, **added}, mounts=(*FOUND.mounts, own))
    assert drift(WANTED, found, IMAGE) == ()
