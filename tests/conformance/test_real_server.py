"""What the official conformance suite says about the transport of the real server: names, headers, sessions."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from support.conformance import checks_of, open_way

SCENARIOS = (
    ("dns-rebinding-protection", "2025-11-25", 2),
    ("dns-rebinding-protection", "2026-07-28", 2),
    ("http-header-validation", "2026-07-28", 10),
    ("server-session-lifecycle", "2025-11-25", 1),
    ("server-initialize", "2025-11-25", 1),
    ("server-sse-multiple-streams", "2025-11-25", 1),
)


@pytest.mark.parametrize(("scenario", "version", "least"), SCENARIOS)
@pytest.mark.usefixtures("conformance", "real_io")
async def test_a_scenario_of_the_transport_passes(scenario: str, version: str, least: int, tmp_path: Path) -> None:
    with anyio.fail_after(110):
        async with open_way(tmp_path) as url:
            checks = await checks_of(url, scenario, version, tmp_path / "results")
    assert [check for check in checks if check.is_bad] == []
    assert len([check for check in checks if check.status == "SUCCESS"]) >= least
