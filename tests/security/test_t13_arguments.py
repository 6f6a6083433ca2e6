"""T13: no argument becomes an option of anything: the engine is spoken to by its API, and names begin with no dash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.workspace_ground import SPEC, an_engine, open_service

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.workspaces import naming

EVIL: list[dict[str, Any]] = [
    {"image": "-v/:/x"},
    {"image": "--privileged"},
    {"image": "img:1 --privileged"},
    {"image": "img:1\n--privileged"},
    {"user": "0:0 --pid=host"},
    {"user": "--privileged"},
    {"network": "host"},
    {"network": "container:victim"},
    {"network": "--network=host"},
    {"platform": "linux/amd64 --privileged"},
    {"platform": "--platform=x"},
    {"cwd": "--privileged"},
    {"restart": "always --privileged"},
]


@pytest.mark.parametrize("evil", EVIL, ids=lambda evil: "-".join(f"{k}={v!r}" for k, v in evil.items()))
async def test_an_argument_that_would_be_an_option_is_refused_before_the_engine_makes_anything(
    tmp_path: Path, evil: dict[str, Any]
) -> None:
    fake = an_engine()
    async with open_service(fake, tmp_path) as service:
        with pytest.raises(InvalidArgumentError):
            await service.provision(replace(SPEC, **evil))
        assert not {"create", "start", "pull", "create_volume", "create_network"} & set(fake.calls)
        assert (await service.provision()).change == "created"


@pytest.mark.parametrize("name", ["--privileged", "-v", "a --pid=host", "a\n-v", "../a", "a/../../b"])
def test_a_name_that_would_be_an_option_or_another_path_is_none(name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        naming.workspace_name(name)


async def test_words_of_a_command_stay_words_whatever_they_look_like(tmp_path: Path) -> None:
    fake = an_engine()
    words = ("sh", "-c", "id", "--privileged", "-v/:/x", "$(id)", "; id")
    async with open_service(fake, tmp_path) as service:
        made = await service.made(replace(SPEC, command=words))
        (container,) = [c for c in fake.containers.values() if c.id == made.container]
        assert container.argv()[-len(words) :] == words
        assert not container.spec.is_privileged
        assert len(container.spec.mounts) == len({mount.target for mount in container.spec.mounts})
        assert "/x" not in {mount.target for mount in container.spec.mounts}
