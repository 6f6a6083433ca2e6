"""The official packer of bundles, as `make mcpb` installs it, and what a host makes of a bundle."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PLACE = Path(os.environ.get("WS_MCP_MCPB") or Path(__file__).parents[2] / ".venv" / "mcpb")
PROGRAM = PLACE / "node_modules" / "@anthropic-ai" / "mcpb"

# What a host that uses the packer's library does, with what a person chose.
_CONFIG = """
import { getMcpConfigForManifest } from "%s/dist/index.js";
import { readFileSync } from "node:fs";
const [extensionPath, chosen] = process.argv.slice(1);
const manifest = JSON.parse(readFileSync(`${extensionPath}/manifest.json`));
const userConfig = JSON.parse(chosen);
const options = { manifest, extensionPath, userConfig, systemDirs: {}, pathSeparator: "/" };
console.log(JSON.stringify(await getMcpConfigForManifest(options)));
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a host starts."""

    argv: Sequence[str]
    environment: Mapping[str, str]


def mcpb_missing() -> str:
    """Why its tests cannot run here; "" when they can."""
    if not PROGRAM.exists():
        return "the packer of bundles is not installed: make packer"
    return "" if shutil.which("node") else "the packer of bundles needs Node"


def mcpb(*argv: str) -> str:
    """Run the packer, which must succeed; what it said."""
    done = _node(str(PROGRAM / "dist" / "cli" / "cli.js"), *argv)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def command_of(bundle: Path, chosen: Mapping[str, object]) -> Command:
    """What a host starts of an unpacked bundle, with what a person chose."""
    script = _CONFIG % PROGRAM
    done = _node("--input-type=module", "--eval", script, str(bundle), json.dumps(chosen))
    assert done.returncode == 0, done.stderr
    config = json.loads(done.stdout)
    return Command(argv=(config["command"], *config["args"]), environment=config["env"])


def _node(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(("node", *argv), capture_output=True, text=True, timeout=60, check=False)
