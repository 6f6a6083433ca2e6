"""Whether a container is as asked for; what real engines make of it is in the door's contract."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from ws_mcp.core.engine.asked import unmet
from ws_mcp.core.engine.capabilities import DEFAULT_CAPABILITIES, capabilities_of
from ws_mcp.core.engine.model import Container, ContainerSpec, ContainerState, TmpfsMount, VolumeMount
from ws_mcp.core.ids import ContainerId

SPEC = ContainerSpec(name="a", image="x")
FOUND = Container(
    id=ContainerId("a" * 64),
    name="a",
    image="x",
    image_id="sha256:1",
    state=ContainerState.RUNNING,
    labels={},
    created_at=datetime.fromtimestamp(0, UTC),
    networks=("",),
)


def test_an_image_has_many_names() -> None:
    for asked, found, is_met in (
        ("x", "x:latest", True),
        ("docker.io/library/x", "x", True),
        ("docker.io/me/x:1", "me/x:1", True),
        ("sha256:1", "x", True),
        ("x:1", "x:2", False),
        ("localhost:5000/x", "localhost:5000/x:latest", True),
        ("x@sha256:1", "x@sha256:2", False),
        ("localhost/x", "x", False),
    ):
        assert (unmet(replace(SPEC, image=asked), replace(FOUND, image=found)) == ()) is is_met, asked


def test_a_volume_that_the_image_wants_is_no_difference_but_any_other_is() -> None:
    assert unmet(SPEC, replace(FOUND, mounts=(VolumeMount(volume="b" * 64, target="/v"),))) == ()
    assert unmet(SPEC, replace(FOUND, mounts=(VolumeMount(volume="b", target="/v"),))) == ("mounts",)
    assert unmet(SPEC, replace(FOUND, mounts=(TmpfsMount(target="/v", options=""),))) == ("mounts",)


def test_a_network_that_was_joined_later_is_a_difference() -> None:
    assert unmet(SPEC, replace(FOUND, networks=("", "other"))) == ("network",)
    assert unmet(replace(SPEC, network="none"), replace(FOUND, network="none", networks=())) == ()


def test_what_the_engine_does_not_say_is_no_difference() -> None:
    asked = replace(SPEC, log_max_bytes=1, runtime="runsc")
    assert unmet(asked, FOUND) == ()
    assert unmet(asked, replace(FOUND, log_max_bytes=2, runtime="runc")) == ("log_max_bytes", "runtime")


def test_capabilities_are_compared_by_what_they_come_to() -> None:
    assert capabilities_of((), ("all",)) == frozenset()
    assert capabilities_of(("chown",), ("ALL",)) == {"CHOWN"}
    assert capabilities_of((), DEFAULT_CAPABILITIES) == capabilities_of((), ("ALL",))
    assert capabilities_of(("CAP_CHOWN",), ("SYS_ADMIN",)) == DEFAULT_CAPABILITIES
    assert capabilities_of(("ALL",), ("SYS_ADMIN",)) == {"ALL", "-SYS_ADMIN"}


def test_memory_file_systems_are_equal_by_their_effect() -> None:
    asked = TmpfsMount(target="/t", options="size=1m,nosuid,nodev")
    assert asked == TmpfsMount(target="/t", options="size=1m,rw,rprivate,nosuid,nodev,tmpcopyup,noexec")
    assert asked != TmpfsMount(target="/t", options="size=1m,exec")
    assert asked != TmpfsMount(target="/t", options="size=2m")
