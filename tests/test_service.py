"""The unit file in examples/: what it says is what starts, reads its policy again, and ends cleanly."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from support.peers import server_environment

UNIT = Path(__file__).parents[1] / "examples" / "ws-mcp.service"
WAIT_S = 60.0


def unit() -> configparser.SectionProxy:
    """What it says about the service."""
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(UNIT.read_text())
    assert set(parsed) == {"DEFAULT", "Unit", "Service", "Install"}
    return parsed["Service"]


def said_within(log: Path, text: str) -> None:
    """Wait until it is in the log."""
    until = time.monotonic() + WAIT_S
    while text not in log.read_text():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)


def test_the_service_starts_reads_its_policy_again_and_ends_cleanly(tmp_path: Path) -> None:
    service = unit()
    here = {"/var/lib/ws-mcp": "state", "/etc/ws-mcp/policy.toml": "policy.toml", "/run/ws-mcp": "run"}

    def moved(text: str) -> str:
        for there, name in here.items():
            text = text.replace(there, str(tmp_path / name))
        return text

    shutil.copy(UNIT.with_name("policy.toml"), tmp_path / "policy.toml")
    (tmp_path / "policy.toml").chmod(0o600)
    (tmp_path / "run").mkdir(mode=int(service["RuntimeDirectoryMode"], 8))
    environment = dict(word.split("=", 1) for word in moved(service["Environment"]).split())
    program, *arguments = shlex.split(moved(service["ExecStart"]))
    assert Path(program).name == "ws-mcp"
    log = tmp_path / "log"
    with log.open("wb") as errors:
        server = subprocess.Popen(
            [sys.executable, "-m", "ws_mcp", *arguments, "--port", "0", "--engine", "none"],
            env={**server_environment(), **environment},
            stdin=subprocess.DEVNULL,
            stderr=errors,
            cwd=tmp_path,
        )
    try:
        said_within(log, "http://127.0.0.1:")
        assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["metrics"]
        assert re.findall(r"^/bin/kill -(\w+) \$MAINPID$", service["ExecReload"]) == ["HUP"]
        (tmp_path / "policy.toml").write_text("nonsense = 1\n")
        os.kill(server.pid, signal.SIGHUP)
        said_within(log, "nonsense")
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait(float(service["TimeoutStopSec"])) == int(service["SuccessExitStatus"])
    finally:
        server.kill()
        server.wait()
