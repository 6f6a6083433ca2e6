"""What the engine is asked for when a container is made."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from ws_mcp.core.engine.body import Json, container_body, with_process_limit
from ws_mcp.core.engine.model import BindMount, ContainerSpec, Limits, Published, TmpfsMount, VolumeMount
from ws_mcp.core.errors import InvalidArgumentError


def host_of(spec: ContainerSpec, *, is_podman: bool = False) -> Json:
    return cast("Json", container_body(spec, is_podman=is_podman)["HostConfig"])


def test_binds_go_by_mounts_so_that_a_missing_source_is_not_made() -> None:
    mounts = (
        BindMount(source="/srv/x", target="/x", is_read_only=True),
        VolumeMount(volume="v", target="/v", copies_image_content=False),
        TmpfsMount(target="/t", options="size=1m,noexec"),
    )
    host = host_of(ContainerSpec(name="a", image="b", mounts=mounts))
    assert "Binds" not in host
    assert host["Mounts"] == [
        {
            "Type": "bind",
            "Source": "/srv/x",
            "Target": "/x",
            "ReadOnly": True,
            "BindOptions": {"NonRecursive": True},
        },
        {"Type": "volume", "Source": "v", "Target": "/v", "ReadOnly": False, "VolumeOptions": {"NoCopy": True}},
    ]
    assert host["Tmpfs"] == {"/t": "size=1m,noexec"}


def test_what_podman_gives_a_read_only_root_is_bounded_and_runs_nothing() -> None:
    spec = ContainerSpec(name="a", image="b", is_read_only=True, mounts=(TmpfsMount(target="/tmp", options="size=1m"),))
    podman = cast("dict[str, str]", host_of(spec, is_podman=True)["Tmpfs"])
    assert podman["/tmp"] == "size=1m,noexec"
    assert set(podman) == {"/run", "/tmp", "/var/tmp"}
    assert all("noexec" in options and "size=" in options for options in podman.values())
    assert host_of(spec)["Tmpfs"] == {"/tmp": "size=1m,noexec"}
    assert host_of(replace(spec, is_read_only=False), is_podman=True)["Tmpfs"] == {"/tmp": "size=1m,noexec"}


def test_ports_are_published_on_the_stated_address_only() -> None:
    published = (
        Published(container_port=80),
        Published(container_port=53, protocol="udp", host_ip="::1", host_port=5353),
    )
    spec = ContainerSpec(name="a", image="b", published=published)
    assert host_of(spec)["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
        "53/udp": [{"HostIp": "::1", "HostPort": "5353"}],
    }
    assert container_body(spec, is_podman=False)["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}


def test_memory_and_swap_are_one_limit() -> None:
    limits = Limits(memory_bytes=5, cpus=0.25, pids=7, shm_bytes=8, nofile=9)
    host = host_of(ContainerSpec(name="a", image="b", limits=limits))
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (5, 5, 250_000_000)
    assert (host["PidsLimit"], host["ShmSize"]) == (7, 8)
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 9, "Hard": 9}]


def test_what_is_not_limited_is_not_mentioned() -> None:
    host = host_of(ContainerSpec(name="a", image="b"))
    assert not {
        "Memory",
        "NanoCpus",
        "PidsLimit",
        "Ulimits",
        "LogConfig",
        "NetworkMode",
        "Runtime",
        "Privileged",
    } & set(host)
    assert host["RestartPolicy"] == {"Name": "no"}


def test_logs_are_bounded_by_the_engines_own_means() -> None:
    spec = ContainerSpec(name="a", image="b", log_max_bytes=1024)
    assert host_of(spec)["LogConfig"] == {"Type": "local", "Config": {"max-size": "1024", "max-file": "3"}}
    assert host_of(spec, is_podman=True)["LogConfig"] == {"Type": "k8s-file", "Config": {"max-size": "1024"}}


def test_an_entrypoint_is_kept_replaced_or_cleared() -> None:
    kept = container_body(ContainerSpec(name="a", image="b"), is_podman=False)
    assert not {"Entrypoint", "Cmd"} & set(kept)
    cleared = container_body(ContainerSpec(name="a", image="b", entrypoint=(), command=("x",)), is_podman=False)
    assert (cleared["Entrypoint"], cleared["Cmd"]) == ([""], ["x"])


@pytest.mark.parametrize(
    "spec",
    [
        ContainerSpec(name="a", image="--rm"),
        ContainerSpec(name="a", image="b", network="container:x"),
        ContainerSpec(name="a", image="b", working_dir="relative"),
        ContainerSpec(name="a", image="b", mounts=(VolumeMount(volume="/etc", target="/x"),)),
        ContainerSpec(name="a", image="b", mounts=(VolumeMount(volume="v", target="x"),)),
        ContainerSpec(name="a", image="b", mounts=(BindMount(source="x", target="/x"),)),
        ContainerSpec(name="a", image="b", mounts=(TmpfsMount(target="x", options=""),)),
        ContainerSpec(name="a", image="b", published=(Published(container_port=1, host_ip=""),)),
        ContainerSpec(name="a", image="b", entrypoint=("a\0",)),
        ContainerSpec(name="a", image="b", user="\udfff"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(spec: ContainerSpec) -> None:
    with pytest.raises(InvalidArgumentError):
        container_body(spec, is_podman=False)


def test_what_is_asked_for_beside_the_common_is_in_the_engines_words() -> None:
    spec = ContainerSpec(
        name="a",
        image="b",
        network="n",
        network_aliases=("web",),
        is_privileged=True,
        pid_mode="host",
        restart="unless-stopped",
        runtime="runsc",
        mounts=(TmpfsMount(target="/t", options="size=1m"), TmpfsMount(target="/x", options="exec")),
    )
    body = container_body(spec, is_podman=False)
    assert body["NetworkingConfig"] == {"EndpointsConfig": {"n": {"Aliases": ["web"]}}}
    host = host_of(spec)
    assert (host["Privileged"], host["PidMode"], host["Runtime"]) == (True, "host", "runsc")
    assert host["RestartPolicy"] == {"Name": "unless-stopped"}
    assert host["Tmpfs"] == {"/t": "size=1m,noexec", "/x": "exec"}
    with pytest.raises(InvalidArgumentError, match="Podman"):
        container_body(spec, is_podman=True)


def test_a_limit_of_processes_comes_with_the_others() -> None:
    body = container_body(ContainerSpec(name="a", image="b", limits=Limits(nofile=9)), is_podman=True)
    assert [
        limit["Name"] for limit in cast("dict[str, list[Json]]", with_process_limit(body)["HostConfig"])["Ulimits"]
    ] == [
        "nofile",
        "nproc",
    ]
