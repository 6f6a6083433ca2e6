"""T09: labels can be copied by anybody; what a container is and may do is never taken from them."""

from __future__ import annotations

import pytest
from support.devcontainer_values import ROOT, SHOP, SHOP_MOUNT, compose_labels, container, labels_of, metadata_label

from ws_mcp.core.devcontainers.allowances import Allowances
from ws_mcp.core.devcontainers.merged import check_container, clear
from ws_mcp.core.devcontainers.model import Record
from ws_mcp.core.devcontainers.sightings import Ground, sightings_of
from ws_mcp.core.engine.model import BindMount
from ws_mcp.core.errors import ForbiddenError

ALLOWED = Allowances(roots=(ROOT,))
GROUND = Ground(roots=(ROOT,))


def test_a_copy_of_all_labels_of_a_live_container_is_told_apart_by_what_the_engine_says() -> None:
    victim = container("shop-1", {**labels_of(), **metadata_label({"remoteUser": "dev"})}, age_s=60)
    copy = container("copy", dict(victim.labels), mounts=())
    (found,) = sightings_of([victim, copy], GROUND)
    assert "more container" in found.warnings[0]
    assert {each.name for each in (found.container, *found.duplicates)} == {"shop-1", "copy"}
    record = Record(container=copy.id, key=SHOP, parts={}, is_adopted=True)
    with pytest.raises(ForbiddenError):
        clear(copy, record, ALLOWED)


def test_a_label_that_says_harmless_does_not_make_a_privileged_container_so() -> None:
    labels = {**labels_of(), **metadata_label({"privileged": False, "mounts": []}), "dev.ws-mcp.tier": "1"}
    found = container(labels=labels, is_privileged=True, mounts=(SHOP_MOUNT, BindMount(source="/", target="/h")))
    assert {each.allow for each in check_container(found, SHOP, ALLOWED)} == {"privileged", "mount:/"}


def test_a_forged_project_draws_nobody_elses_containers_in() -> None:
    forged = container("evil", {**labels_of(), **compose_labels("prod", "x")})
    prod = [container(f"prod-{n}", compose_labels("prod", "db", "/srv/prod"), mounts=()) for n in range(3)]
    (found,) = sightings_of([forged, *prod], GROUND)
    assert (found.members, found.siblings) == ((), ())
