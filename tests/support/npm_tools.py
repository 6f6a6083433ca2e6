"""Programs from npm that tests drive, as `make NAME` installs them beside the virtual environment, with their Node.

WS_MCP_NPM_TOOLS names another directory for them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PLACE = Path(os.environ.get("WS_MCP_NPM_TOOLS") or Path(__file__).parents[2] / ".venv")
OLDEST_NODE = 22


@dataclass(frozen=True)
class NpmTool:
    """One of `requirements/`. `name`: the directory there, and of the command that installs it."""

    name: str
    title: str
    entry: str  # its script, below node_modules

    @property
    def modules(self) -> Path:
        """What was installed."""
        return PLACE / self.name / "node_modules"

    @property
    def script(self) -> Path:
        """What Node runs."""
        return self.modules / self.entry

    @property
    def manifest(self) -> Path:
        """Its package.json."""
        owner, package = Path(self.entry).parts[:2]
        return self.modules / owner / package / "package.json"

    @cached_property
    def node(self) -> str:
        """A Node that is new enough: the one beside it, else the machine's; "" without."""
        beside = sorted(self.modules.glob("node-*/bin/node"))
        return next((found for found in (*map(str, beside), shutil.which("node")) if found and _is_new(found)), "")

    @property
    def missing(self) -> str:
        """Why its tests cannot run here; "" when they can."""
        if not self.script.exists():
            return f"{self.title} is not installed: make {self.name}"
        return "" if self.node else f"there is no Node {OLDEST_NODE} or newer: make {self.name}"

    @property
    def argv(self) -> tuple[str, str]:
        """How it is started."""
        return self.node, str(self.script)


def _is_new(node: str) -> bool:
    said = subprocess.run((node, "--version"), capture_output=True, text=True, timeout=20, check=False).stdout
    version = re.match(r"v(\d+)\.", said)
    return version is not None and int(version[1]) >= OLDEST_NODE


SUITE = NpmTool("conformance", "the conformance suite", "@modelcontextprotocol/conformance/dist/index.js")
INSPECTOR = NpmTool("inspector", "the Inspector", "@modelcontextprotocol/inspector/clients/launcher/build/index.js")
