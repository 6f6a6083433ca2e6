"""Containers as an engine shows them for dev containers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.engine.model import BindMount, Container, ContainerState, Mount
from ws_mcp.core.ids import ContainerId

MADE = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = "/home/ann"
SHOP = Key(folder=f"{ROOT}/shop", config=f"{ROOT}/shop/.devcontainer/devcontainer.json")
SHOP_MOUNT = BindMount(source=SHOP.folder, target="/workspaces/shop")


def labels_of(key: Key = SHOP, /, **more: str) -> dict[str, str]:
    """What the CLI puts on a container."""
    return {"devcontainer.local_folder": key.folder, "devcontainer.config_file": key.config, **more}


def compose_labels(project: str, service: str, folder: str = f"{ROOT}/shop/.devcontainer") -> dict[str, str]:
    """What compose puts on a container."""
    prefix = "com.docker.compose."
    return {prefix + "project": project, prefix + "service": service, prefix + "project.working_dir": folder}


def metadata_label(*entries: Mapping[str, object]) -> dict[str, str]:
    """What the CLI keeps of a definition."""
    return {"devcontainer.metadata": json.dumps(entries)}


def container(
    name: str = "shop-1",
    labels: Mapping[str, str] | None = None,
    state: ContainerState = ContainerState.RUNNING,
    age_s: float = 0,
    *,
    mounts: tuple[Mount, ...] = (SHOP_MOUNT,),
    **more: object,
) -> Container:
    """A container; of the shop unless its labels say otherwise."""
    return Container(
        id=ContainerId(hashlib.sha256(name.encode()).hexdigest()),
        name=name,
        image="image:1",
        image_id="sha256:" + "a" * 64,
        state=state,
        labels=labels_of() if labels is None else labels,
        created_at=MADE - timedelta(seconds=age_s),
        mounts=mounts,
        **more,  # pyright: ignore[reportArgumentType] - fields of a container, as its type checks them
    )
