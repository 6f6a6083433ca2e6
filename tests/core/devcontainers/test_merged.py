"""What a container can do, by what the engine says, and who gets the proof that it may be used."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.devcontainer_values import ROOT, SHOP, SHOP_MOUNT, container, labels_of

from ws_mcp.core.devcontainers.allowances import Allowances, allowances_of
from ws_mcp.core.devcontainers.merged import Cleared, check_container, clear
from ws_mcp.core.devcontainers.model import Key, Record
from ws_mcp.core.devcontainers.mount_rules import Paths
from ws_mcp.core.engine.model import BindMount, Container, Published, TmpfsMount, Volume, VolumeMount
from ws_mcp.core.errors import ForbiddenError
from ws_mcp.core.ids import ContainerId

PLAIN = Allowances(roots=(ROOT,))
ADOPTED = Record(container=container().id, key=SHOP, parts={}, is_adopted=True)
MADE = replace(ADOPTED, is_adopted=False)
EXECD = VolumeMount(volume="wsmcp-execd-i-d", target="/.ws-mcp", is_read_only=True)

HARMLESS = [
    container(),
    container(mounts=(SHOP_MOUNT, EXECD, TmpfsMount(target="/t", options="size=1m"))),
    container(cap_drop=("ALL",), security_options=("no-new-privileges",), is_read_only=True, user="root"),
    container(network="shop_default", networks=("shop_default",), published=(Published(container_port=80),)),
    container(mounts=(BindMount(source=ROOT, target="/workspaces"),)),
    container(published=(Published(container_port=80, host_ip="::1"),)),
]


@pytest.mark.parametrize("found", HARMLESS, ids=range(len(HARMLESS)))
def test_a_container_that_stays_within_its_walls_passes(found: Container) -> None:
    assert check_container(found, SHOP, PLAIN) == ()
    assert clear(found, ADOPTED, PLAIN).container is found


RIGHTS: list[tuple[dict[str, object], str]] = [
    ({"is_privileged": True}, "privileged"),
    ({"cap_add": ("SYS_PTRACE",)}, "capability:SYS_PTRACE"),
    ({"security_options": ("seccomp=unconfined",)}, "security-option:seccomp=unconfined"),
    ({"pid_mode": "host"}, "run-arg:--pid"),
    ({"pid_mode": "container:abc"}, "run-arg:--pid"),
    ({"network": "host"}, "run-arg:--network"),
    ({"network": "container:abc"}, "run-arg:--network"),
    ({"networks": ("host",)}, "run-arg:--network"),
    ({"host_access": ("device /dev/fuse",)}, "run-arg:--device"),
    ({"host_access": ("devices of a driver (gpus)",)}, "run-arg:--gpus"),
    ({"host_access": ("ipc host",)}, "run-arg:--ipc"),
    ({"host_access": ("userns host",)}, "run-arg:--userns"),
    ({"host_access": ("uts host",)}, "run-arg:--uts"),
    ({"host_access": ("volumes of other containers",)}, "run-arg:--volumes-from"),
    ({"mounts": (SHOP_MOUNT, BindMount(source="/", target="/h"))}, "mount:/"),
    ({"mounts": (SHOP_MOUNT, BindMount(source="/home/annex", target="/h"))}, "mount:/home/annex"),
    ({"published": (Published(container_port=80, host_ip="0.0.0.0", host_port=80),)}, "publish"),
    ({"published": (Published(container_port=80, host_ip="::", host_port=80),)}, "publish"),
]


@pytest.mark.parametrize(("rights", "word"), RIGHTS)
def test_a_right_that_is_not_allowed_is_found_whatever_the_labels_say(rights: dict[str, object], word: str) -> None:
    found = container(**rights)  # pyright: ignore[reportArgumentType]
    assert [each.allow for each in check_container(found, SHOP, PLAIN)] == [word]
    with pytest.raises(ForbiddenError, match="can do more than the operator allows"):
        clear(found, MADE, PLAIN)
    assert clear(found, MADE, allowances_of([word], (ROOT,), {}))


def test_no_word_allows_a_socket() -> None:
    found = container(mounts=(SHOP_MOUNT, BindMount(source="/run/docker.sock", target="/s")))
    (violation,) = check_container(found, SHOP, allowances_of(["mount:/run/docker.sock"], (ROOT,), {}))
    assert str(violation).endswith("nothing allows it")


def test_a_mount_counts_where_it_really_leads() -> None:
    found = container(mounts=(SHOP_MOUNT, BindMount(source=f"{ROOT}/link", target="/h")))
    links = {f"{ROOT}/link": "/etc"}
    assert check_container(found, SHOP, PLAIN) == ()
    (violation,) = check_container(found, SHOP, PLAIN, Paths(real=lambda path: links.get(path, path)))
    assert violation.allow == "mount:/etc"


@pytest.mark.parametrize(
    ("driver", "options", "count"),
    [("local", {}, 0), ("local", {"type": "none", "o": "bind", "device": "/"}, 1), ("nfs", {}, 1)],
)
def test_a_volume_that_is_a_mount_in_disguise_is_found(driver: str, options: dict[str, str], count: int) -> None:
    volume = Volume(name="x", driver=driver, labels={}, options=options, created_at="")
    violations = check_container(container(), SHOP, PLAIN, volumes=[volume])
    assert [each.allow for each in violations] == [""] * count


def test_all_that_a_container_can_do_is_told_at_once() -> None:
    found = container(is_privileged=True, cap_add=("BPF",), pid_mode="host")
    with pytest.raises(ForbiddenError) as refused:
        clear(found, MADE, PLAIN)
    for word in ("privileged", "capability:BPF", "run-arg:--pid"):
        assert f"--devcontainer-allow {word} allows it" in str(refused.value)


def test_a_container_that_merely_carries_the_labels_gets_no_proof() -> None:
    look_alike = container(labels=labels_of(), mounts=())
    with pytest.raises(ForbiddenError, match="not mounted in it"):
        clear(look_alike, ADOPTED, PLAIN)
    assert clear(look_alike, MADE, PLAIN)  # we made it: its workspace may be in a volume


def test_a_container_of_a_folder_that_is_below_no_root_gets_no_proof() -> None:
    other = Key(folder="/srv/x", config="/srv/x/.devcontainer.json")
    found = container(mounts=(BindMount(source="/srv/x", target="/w"),))
    with pytest.raises(ForbiddenError, match="--root"):
        clear(found, replace(ADOPTED, key=other), PLAIN)
    with pytest.raises(ForbiddenError, match="--root"):
        clear(container(), ADOPTED, PLAIN, Paths(real=lambda path: "/etc" if path == SHOP.folder else path))


def test_a_proof_cannot_be_made_by_hand() -> None:
    with pytest.raises(RuntimeError):
        Cleared(key=SHOP, container=container(), seal=object())
    with pytest.raises(RuntimeError):
        clear(container(), replace(ADOPTED, container=ContainerId("0" * 64)), PLAIN)
