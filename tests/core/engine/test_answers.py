"""The engine's answers as values: both engines' forms, and odd ones."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, dictionaries, floats, integers, lists, none, recursive, sampled_from, text

from ws_mcp.core.engine.answers import event_of, image_of, info_of, network_of, usage_of, volume_of
from ws_mcp.core.engine.containers import container_of, listed_container_of
from ws_mcp.core.engine.model import BindMount, ContainerState, EngineEvent, Published, TmpfsMount, VolumeMount
from ws_mcp.core.engine.record import Record

ID = "a" * 64
KEYS = sampled_from(
    [
        "Id",
        "Name",
        "Names",
        "Config",
        "State",
        "Status",
        "HostConfig",
        "Mounts",
        "NetworkSettings",
        "Ports",
        "Labels",
        "Env",
        "Created",
        "Type",
        "Ulimits",
        "Tmpfs",
        "NetworkMode",
        "RepoTags",
        "Action",
        "Actor",
        "80/tcp",
        "PortBindings",
        "StartedAt",
        "Networks",
        "Containers",
        "LogConfig",
        "max-size",
        "Aliases",
        "IPAM",
        "Volumes",
        "UsageData",
        "Size",
        "SecurityOpt",
        "PidMode",
        "RepoDigests",
    ]
)
JSON = recursive(
    none()
    | booleans()
    | integers()
    | sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
    | floats(allow_nan=False)
    | text(max_size=5),
    lambda inner: lists(inner, max_size=3) | dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


@given(answer=JSON)
def test_no_answer_is_too_odd_to_read(answer: object) -> None:
    for read in (container_of, listed_container_of, image_of, volume_of, event_of, network_of, usage_of):
        read(Record(answer))
    info_of(Record(answer), Record(answer), "x")


def test_a_stopped_container_says_when_and_how_it_ended() -> None:
    state = {"Status": "exited", "ExitCode": 3, "StartedAt": "2026-11-20T14:40:30.913023123Z"}
    finished = {"FinishedAt": "2026-11-20T15:40:31+01:00"}
    found = container_of(Record({"Id": ID, "Name": "/x", "State": state | finished}))
    assert (found.id, found.name, found.state, found.exit_code) == (ID, "x", ContainerState.EXITED, 3)
    assert found.started_at == datetime(2026, 11, 20, 14, 40, 30, 913023, tzinfo=UTC)
    assert found.finished_at == datetime(2026, 11, 20, 14, 40, 31, tzinfo=UTC)


def test_a_container_that_never_ran_has_no_times() -> None:
    state = {"Status": "created", "ExitCode": 0, "StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": ""}
    found = container_of(Record({"State": state}))
    assert (found.started_at, found.finished_at, found.exit_code) == (None, None, None)


@pytest.mark.parametrize(
    ("says", "state"),
    [("Running", "running"), ("stopped", "exited"), ("configured", "created"), ("what", "unknown"), ("", "unknown")],
)
def test_states_of_both_engines_are_ours(says: str, state: str) -> None:
    assert container_of(Record({"State": {"Status": says}})).state == state


def test_ports_are_those_that_are_bound_else_those_asked_for() -> None:
    bound = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}], "81/tcp": None}
    asked = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
    running = {"NetworkSettings": {"Ports": bound}, "HostConfig": {"PortBindings": asked}}
    assert container_of(Record(running)).published == (Published(container_port=80, host_port=32768),)
    stopped = {"NetworkSettings": {"Ports": {}}, "HostConfig": {"PortBindings": asked}}
    assert container_of(Record(stopped)).published == (Published(container_port=80),)


def test_mounts_are_what_the_engine_mounted() -> None:
    mounts = [
        {"Type": "volume", "Name": "v", "Destination": "/v", "RW": True},
        {"Type": "bind", "Source": "/s", "Destination": "/b", "RW": False},
        {"Type": "npipe", "Destination": "/n"},
    ]
    found = container_of(Record({"Mounts": mounts, "HostConfig": {"Tmpfs": {"/t": "size=1m"}}}))
    assert found.mounts == (
        BindMount(source="/s", target="/b", is_read_only=True),
        VolumeMount(volume="v", target="/v"),
        TmpfsMount(target="/t", options="size=1m"),
    )
    reordered = container_of(Record({"Mounts": mounts[::-1], "HostConfig": {"Tmpfs": {"/t": "size=1m"}}}))
    assert reordered.mounts == found.mounts


@pytest.mark.parametrize(
    ("mode", "joined", "network"),
    [
        ("default", ["bridge"], ""),
        ("bridge", ["podman"], ""),
        ("bridge", ["mine"], "mine"),
        ("none", [], "none"),
        ("x", [], "x"),
    ],
)
def test_a_network_has_its_name_and_the_default_has_none(mode: str, joined: list[str], network: str) -> None:
    networks = {"Networks": {name: {} for name in joined}}
    assert container_of(Record({"HostConfig": {"NetworkMode": mode}, "NetworkSettings": networks})).network == network


def test_the_hosts_network_is_one_that_a_container_has_joined_also_where_it_is_not_listed() -> None:
    for listed in ({}, {"host": {}}):
        found = {"HostConfig": {"NetworkMode": "host"}, "NetworkSettings": {"Networks": listed}}
        assert container_of(Record(found)).networks == ("host",)


def test_limits_are_read_in_the_form_of_either_engine() -> None:
    docker = {"NanoCpus": 500_000_000, "PidsLimit": None, "Ulimits": [{"Name": "nofile", "Soft": 5}]}
    podman = {
        "CpuQuota": 50_000,
        "CpuPeriod": 100_000,
        "PidsLimit": -1,
        "Ulimits": [{"Name": "RLIMIT_NOFILE", "Soft": 5}],
    }
    for host in (docker, podman):
        limits = container_of(Record({"HostConfig": host})).limits
        assert (limits.cpus, limits.pids, limits.nofile) == (0.5, 0, 5)


def test_capabilities_have_no_prefix() -> None:
    found = container_of(Record({"HostConfig": {"CapDrop": ["CAP_MKNOD", "all"], "CapAdd": None}}))
    assert (found.cap_drop, found.cap_add) == (("ALL", "MKNOD"), ())


def test_an_engine_says_what_time_it_is_or_nothing() -> None:
    said = info_of(Record({"SystemTime": "2026-11-27T18:00:01.123456789+02:00"}), Record({}), "x")
    assert said.told_at == datetime(2026, 11, 27, 16, 0, 1, 123456, UTC)
    assert info_of(Record({"SystemTime": "soon"}), Record({}), "x").told_at is None


def test_podmans_engine_is_known_by_its_store() -> None:
    version = Record({"Components": [{"Name": "Podman Engine"}], "Version": "4.3.1"})
    first = info_of(Record({"ID": "1", "Name": "h", "DockerRootDir": "/s", "Architecture": "aarch64"}), version, "x")
    again = info_of(Record({"ID": "2", "Name": "h", "DockerRootDir": "/s"}), version, "x")
    assert first.engine_id == again.engine_id
    assert (first.kind, first.architecture) == ("podman", "arm64")


@pytest.mark.parametrize(
    ("kind", "action", "told"),
    [
        ("container", "die", "die"),
        ("container", "died", "die"),
        ("container", "remove", "destroy"),
        ("volume", "remove", "destroy"),
        ("container", "exec_create: cat", None),
        ("container", "exec_died", None),
        ("container", "health_status: healthy", "health_status: healthy"),
        ("volume", "mount", None),
        ("daemon", "reload", None),
        ("image", "tag", "tag"),
    ],
)
def test_events_are_told_in_one_language(kind: str, action: str, told: str | None) -> None:
    found = event_of(Record({"Type": kind, "Action": action, "Actor": {"ID": "x", "Attributes": {"a": "b", "n": 1}}}))
    assert found == (EngineEvent(kind=kind, action=told, id="x", labels={"a": "b"}) if told else None)


@pytest.mark.parametrize(
    ("config", "bound"),
    [
        ({"Type": "local", "Config": {"max-size": "10485760", "max-file": "3"}}, 10485760),
        ({"Type": "json-file", "Config": {"max-size": "10m"}}, 10485760),
        ({"Type": "json-file", "Config": {"max-size": "2GB"}}, 2 << 30),
        ({"Type": "json-file", "Config": {"max-size": "lots"}}, 0),
        ({"Type": "json-file", "Config": {}}, 0),
        ({"Type": "json-file", "Config": None}, None),
        (None, None),
    ],
)
def test_how_much_is_logged_is_a_number_of_bytes(config: object, bound: int | None) -> None:
    assert container_of(Record({"HostConfig": {"LogConfig": config}})).log_max_bytes == bound


def test_a_rootless_podman_has_a_default_network_without_a_name() -> None:
    found = container_of(Record({"HostConfig": {"NetworkMode": "slirp4netns"}, "NetworkSettings": {"Networks": {}}}))
    assert (found.network, found.networks) == ("", ("",))


def test_aliases_are_without_those_that_the_engine_gives() -> None:
    networks = {"n": {"Aliases": ["web", ID[:12], "api"]}, "other": {"Aliases": ["x"]}}
    answer = {"Id": ID, "HostConfig": {"NetworkMode": "n"}, "NetworkSettings": {"Networks": networks}}
    found = container_of(Record(answer))
    assert (found.network_aliases, found.networks) == (("api", "web"), ("n", "other"))


def test_options_that_follow_from_others_are_left_out() -> None:
    options = {"SecurityOpt": ["no-new-privileges:true", "label=disable"]}
    assert container_of(Record({"HostConfig": options})).security_options == ("label=disable", "no-new-privileges")
    for more in ({"PidMode": "host"}, {"Privileged": True}):
        assert container_of(Record({"HostConfig": options | more})).security_options == ("no-new-privileges",)
    assert container_of(Record({"HostConfig": options | {"PidMode": "private"}})).pid_mode == ""


def test_images_of_the_common_registry_have_their_short_names() -> None:
    names = ["docker.io/library/a:1", "docker.io/me/b:1", "localhost/c:1", "<none>:<none>"]
    digests = ["docker.io/library/a@sha256:1", "<none>@<none>"]
    found = image_of(Record({"RepoTags": names, "RepoDigests": digests, "Os": "linux"}))
    assert (found.tags, found.digests, found.os) == (("a:1", "me/b:1", "localhost/c:1"), ("a@sha256:1",), "linux")


def test_a_volume_that_cannot_be_measured_is_left_out() -> None:
    volumes = [{"Name": "a", "UsageData": {"Size": 5}}, {"Name": "b", "UsageData": {"Size": -1}}, {"Name": "c"}]
    assert usage_of(Record({"Volumes": volumes})) == {"a": 5}


@pytest.mark.parametrize(
    ("host", "ways"),
    [
        ({}, ()),
        ({"IpcMode": "private", "UTSMode": "", "UsernsMode": "", "Devices": [], "DeviceRequests": None}, ()),
        ({"IpcMode": "shareable", "MaskedPaths": ["/proc/kcore"], "VolumesFrom": None}, ()),
        ({"IpcMode": "host", "UTSMode": "host", "UsernsMode": "host"}, ("ipc host", "uts host", "userns host")),
        ({"IpcMode": "container:abc"}, ("ipc container:abc",)),
        ({"Devices": [{"PathOnHost": "/dev/fuse"}]}, ("device /dev/fuse",)),
        ({"DeviceRequests": [{"Count": -1}]}, ("devices of a driver (gpus)",)),
        ({"DeviceCgroupRules": ["c 1:1 rwm"]}, ("device rule c 1:1 rwm",)),
        ({"VolumesFrom": ["other"]}, ("volumes of other containers",)),
        ({"MaskedPaths": []}, ("system paths unmasked",)),
        ({"MaskedPaths": [], "Privileged": True}, ()),
    ],
)
def test_every_further_way_to_the_host_is_named(host: dict[str, object], ways: tuple[str, ...]) -> None:
    assert container_of(Record({"HostConfig": host})).host_access == ways


def test_an_image_has_its_labels() -> None:
    assert image_of(Record({"Config": {"Labels": {"a": "b", "c": 1}}})).labels == {"a": "b"}
