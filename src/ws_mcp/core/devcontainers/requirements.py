"""What a definition asks of the engine's machine, which the CLI does not look at but for a GPU (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ws_mcp.core.engine.model import EngineInfo
from ws_mcp.core.engine.record import Record

# Source: devcontainers/cli, imageMetadata.ts, parseBytes.
_BYTES = re.compile(r"(\d{1,15})([tgmk]b)?")
_UNITS = {"tb": 1 << 40, "gb": 1 << 30, "mb": 1 << 20, "kb": 1 << 10, None: 1}
ENOUGH = 0.9  # of what is asked for: of "8 GB" a machine keeps some to itself


def unmet_requirements(properties: Mapping[str, object], info: EngineInfo) -> tuple[str, ...]:
    """Warnings about what `hostRequirements` asks for and the engine's machine has not, as far as it says."""
    wanted = Record(properties).record("hostRequirements")
    found: list[str] = []
    cpus = wanted.number("cpus")
    if info.cpus and cpus > info.cpus:
        found.append(f"hostRequirements asks for {cpus} CPUs, and the engine's machine has {info.cpus}")
    for name, there in (("memory", info.memory_bytes), ("storage", info.storage_bytes)):
        asked = wanted.text(name) or str(wanted.number(name))
        if there and there < ENOUGH * _bytes_of(asked):
            found.append(f"hostRequirements asks for {asked} of {name}, and the engine's machine has {there >> 30} GiB")
    return tuple(found)


def _bytes_of(text: str) -> int:
    found = _BYTES.fullmatch(text.strip().lower())
    return int(found[1]) * _UNITS[found[2]] if found else 0
