"""When a server says that it should get no new calls."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.metrics import METRICS
from ws_mcp.core.workspaces.watch import Sight
from ws_mcp.metrics import STALE_S, Measures


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenBy:
    """A core that has seen the engine so, and is connected to nothing."""

    last_sight: Sight | None = None

    @property
    def places(self) -> SeenBy:
        return self

    def clients(self) -> tuple[ExecdClient, ...]:
        return ()


def fine() -> str:
    return ""


def nothing() -> None:
    """No audit."""


def old(age_s: float | None) -> SeenBy:
    return SeenBy(last_sight=Sight(workspaces={}, age_s=age_s, unknown="the engine does not answer"))


@pytest.mark.parametrize(
    ("core", "is_ready"),
    [
        (SeenBy(), True),
        (SeenBy(last_sight=Sight(workspaces={})), True),
        (old(STALE_S), True),
        (old(STALE_S + 1), False),
        (old(None), False),
    ],
    ids=["nobody asked", "seen", "not long ago", "long ago", "never"],
)
async def test_it_is_ready_as_long_as_the_engine_was_seen_of_late(core: SeenBy, is_ready: bool) -> None:
    page = await Measures(core, nothing, fine).pages["/readyz"]()
    assert page.status == (200 if is_ready else 503)
    assert ("the engine has not shown its containers" in page.text) is not is_ready


async def test_a_bad_policy_file_is_said() -> None:
    page = await Measures(SeenBy(), nothing, lambda: "its file has an unknown key").pages["/readyz"]()
    assert (page.status, page.text) == (503, "the policy: its file has an unknown key\n")


async def test_a_denial_is_counted_by_its_rule() -> None:
    measures = Measures(old(7), nothing, fine)
    count = METRICS.value("denials_total", rule="a-rule-of-this-test") + 1  # the process has one of each
    measures.begin()
    measures.end("start_process", "denied", 0.001, "a-rule-of-this-test")
    text = (await measures.pages["/metrics"]()).text
    assert f'ws_mcp_denials_total{{rule="a-rule-of-this-test"}} {count:g}\n' in text
    assert "ws_mcp_calls_in_flight 0\n" in text
    assert "ws_mcp_relist_age_seconds 7\n" in text
