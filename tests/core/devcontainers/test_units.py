"""What is started and stopped as one, and in which order."""

from __future__ import annotations

from hypothesis import given
from hypothesis.strategies import dictionaries, sampled_from, sets
from support.devcontainer_values import compose_labels, container

from ws_mcp.core.devcontainers.units import DEPENDS_ON, in_start_order

SERVICES = ("app", "cache", "db", "mail", "proxy")


@given(needs=dictionaries(sampled_from(SERVICES), sets(sampled_from(SERVICES)), min_size=1))
def test_each_comes_once_and_after_what_it_depends_on_unless_they_go_round_in_circles(
    needs: dict[str, set[str]],
) -> None:
    containers = [
        container(
            name=service,
            labels={
                **compose_labels("shop", service),
                DEPENDS_ON: ",".join(f"{other}:service_started:false" for other in sorted(others)),
            },
        )
        for service, others in needs.items()
    ]
    ordered = [each.name for each in in_start_order(containers)]
    assert sorted(ordered) == sorted(needs)
    for service, others in needs.items():
        for other in others & needs.keys():
            if not _reaches(needs, other, service):
                assert ordered.index(other) < ordered.index(service)


def test_containers_without_services_stay_as_they_are() -> None:
    containers = (container(name="b"), container(name="a"))
    assert in_start_order(containers) == containers


def _reaches(needs: dict[str, set[str]], start: str, end: str) -> bool:
    """Whether `start` depends on `end`, by however many steps."""
    seen: set[str] = set()
    left = {start}
    while left:
        service = left.pop()
        if service == end:
            return True
        seen.add(service)
        left |= (needs.get(service, set()) & needs.keys()) - seen
    return False
