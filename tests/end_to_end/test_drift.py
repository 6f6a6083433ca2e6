"""A workspace that is not as it was asked for any more: what is different is said, and put right without loss."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import cast

import anyio
import pytest
from support.images import busybox_tar
from support.instances import IMAGE, Instance
from support.peers import Json, Peer
from support.tier_probe import output_of

MOVING = "wsmcp-test-moving:1"


def reasons_of(answer: Json) -> list[str]:
    return cast("list[str]", answer.get("reasons", []))


@pytest.fixture
def moving(each_instance: Instance, tmp_path: Path) -> Generator[Callable[[], None]]:
    """An image's name, and what moves it to another image."""
    each_instance.docker("tag", IMAGE, MOVING)
    archive = tmp_path / "image.tar"
    archive.write_bytes(busybox_tar())

    def move() -> None:
        said = each_instance.docker("import", "--change", "ENV MOVED=yes", "--change", 'CMD ["sh"]', str(archive))
        each_instance.docker("tag", said.strip().rpartition(":")[2], MOVING)

    yield move
    each_instance.docker("rmi", "--force", MOVING)


async def check_put_right(peer: Peer, reason: str) -> None:
    """That the next provision names the reason, makes it anew, and that its files are there."""
    answer = await peer.ok("provision_workspace")
    assert answer["change"] == "recreated"
    assert any(reason in each for each in reasons_of(answer)), answer
    assert await output_of(peer, "cat /workspace/file") == "kept"
    assert (await peer.ok("provision_workspace"))["change"] == "none"


@pytest.mark.long("podman")
async def test_what_was_changed_behind_the_servers_back_is_named_and_put_right(
    each_instance: Instance, moving: Callable[[], None]
) -> None:
    engine = each_instance
    with anyio.fail_after(90):
        async with engine.open_peer() as peer:
            await peer.ok("provision_workspace", image=MOVING)
            await output_of(peer, "echo kept > /workspace/file")
            (own,) = engine.networks
            if not engine.is_podman:  # 4.3 cannot change limits
                engine.docker("update", "--memory", "600m", "--memory-swap", "600m", engine.container)
                await check_put_right(peer, "memory_bytes is 629145600, not 536870912")
            engine.docker("network", "connect", "bridge" if not engine.is_podman else "podman", engine.container)
            await check_put_right(peer, "it joined 1 more network")
            engine.docker("network", "disconnect", own, engine.container)
            await check_put_right(peer, "network")
            moving()
            await check_put_right(peer, f"image {MOVING} means another image now")
            assert await output_of(peer, "echo $MOVED") == "yes"
            engine.docker("stop", "--time", "1", engine.container)
            answer = await peer.ok("provision_workspace")
            assert (answer["change"], reasons_of(answer)) == ("started", [])


def made_by_hand(instance: Instance, *more: str) -> str:
    """Our container removed, and another with its name, labels, mounts and first process made, and what is asked."""
    name = instance.container
    (found,) = cast("list[Json]", json.loads(instance.docker("inspect", name)))
    config = cast("dict[str, dict[str, str] | list[str]]", found["Config"])
    mounts = cast("list[dict[str, str]]", found["Mounts"])
    instance.docker("rm", "--force", name)
    labels = [f"--label={label}={value}" for label, value in cast("dict[str, str]", config["Labels"]).items()]
    environment = [f"--env={value}" for value in cast("list[str]", config["Env"])]
    volumes = [f"--volume={each['Name']}:{each['Destination']}" for each in mounts if each["Type"] == "volume"]
    program, *words = cast("list[str]", config["Entrypoint"])
    entry = ("--entrypoint", program, IMAGE, *words)
    return instance.docker("run", "--detach", "--name", name, *labels, *environment, *volumes, *more, *entry).strip()


async def test_a_container_with_copied_labels_shows_what_it_really_is_and_is_made_anew(
    instance: Instance, tmp_path: Path
) -> None:
    with anyio.fail_after(90):
        async with instance.open_peer() as peer:
            await peer.ok("provision_workspace")
            await output_of(peer, "echo kept > /workspace/file")
            made_by_hand(instance, f"--volume={tmp_path}:/host", "--cap-add=SYS_ADMIN")
            found = (await peer.workspaces())["main"]
            assert found["tier"] == 3
            assert "asked for as tier 2, but what it may do is tier 3" in str(found["notes"])
            answer = await peer.ok("provision_workspace")
            assert answer["change"] == "recreated"
            said = "; ".join(reasons_of(answer))
            assert "something is mounted at /host that should not be" in said
            assert "SYS_ADMIN" in said
            assert await output_of(peer, "cat /workspace/file; ls /host 2>/dev/null | wc -l") == "kept\n0"
            assert (await peer.workspaces())["main"]["tier"] == 2


@pytest.mark.long("podman")
async def test_a_changed_template_or_home_makes_an_idle_workspace_anew_and_leaves_a_busy_one_alone(
    each_instance: Instance, tmp_path: Path
) -> None:
    instance = each_instance
    template, home = tmp_path / "template", tmp_path / "home"
    for directory in (template, home):
        directory.mkdir()
    (template / "config.yaml").write_text("first")
    (home / "settings.json").write_text("{}")
    flags = ("--template", f"py={template}", "--home", f"agent={home}")
    wish = {"options": {"template": "py", "home": "agent", "required": ["config.yaml"], "files": {"own.txt": "mine"}}}
    look = "cat /configs/config.yaml /configs/own.txt ~/settings.json"
    with anyio.fail_after(90):
        async with instance.open_peer(*flags) as peer:
            assert (await peer.ok("provision_workspace", **wish))["change"] == "created"
            assert await output_of(peer, look) == "firstmine{}"
            assert (await peer.ok("provision_workspace", **wish))["change"] == "none"
            await output_of(peer, "echo kept > /workspace/file; echo gone > /gone")

            (template / "config.yaml").write_text("second")
            answer = await peer.ok("provision_workspace")
            assert (answer["change"], reasons_of(answer)) == ("recreated", ["the template changed"])
            assert await output_of(peer, f"{look}; cat /workspace/file; ls /gone 2>&1 | grep -c 'No such'") == (
                "secondmine{}kept\n1"
            )

            process = await peer.start("exec sleep 600", wait_s=0)
            (home / "settings.json").write_text("[]")
            answer = await peer.ok("provision_workspace")
            assert (answer["change"], reasons_of(answer)) == ("none", ["the home directory changed"])
            assert 'replace="always"' in str(answer["note"])
            assert (await peer.processes())[process]["state"] == "running"

            refusal = await peer.refused("provision_workspace", env={"A": "b"})
            assert "1 process runs" in refusal
            assert 'replace="always"' in refusal
            answer = await peer.ok("provision_workspace", env={"A": "b"}, options={"replace": "always"})
            assert answer["change"] == "recreated"
            assert set(reasons_of(answer)) == {"environment changed", "the home directory changed"}
            assert await output_of(peer, "cat ~/settings.json /workspace/file; echo $A") == "[]kept\nb"
            assert len([volume for volume in instance.volumes if "-configs-" in volume]) == 1


async def test_without_a_required_file_nothing_starts_and_what_runs_goes_on(instance: Instance) -> None:
    with anyio.fail_after(90):
        async with instance.open_peer() as peer:
            refusal = await peer.refused("provision_workspace", options={"required": ["config.yaml"]})
            assert "config.yaml" in refusal
            assert "nothing was started" in refusal
            assert (instance.containers, instance.networks) == ([], [])
            await peer.ok("provision_workspace", options={"required": ["a.txt"], "files": {"a.txt": "1"}})
            process = await peer.start("exec sleep 600", wait_s=0)
            # What is there counts, and a call that fails changes nothing.
            assert (await peer.ok("provision_workspace", options={"required": ["a.txt"]}))["change"] == "none"
            wish = {"required": ["b.txt"], "files": {"c.txt": "2"}, "replace": "always"}
            assert "b.txt" in await peer.refused("provision_workspace", options=wish)
            assert (await peer.processes())[process]["state"] == "running"
            assert await output_of(peer, "ls /configs") == "a.txt"
