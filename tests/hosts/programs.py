"""The real hosts as programs: told of our server by `ws-mcp config HOST --write`, of a model by what is written here.

Each runs with a home of its own, without an account, and with proxies that lead to the scripted model.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hosts.dialects import Dialect, GenerateContent, Messages, Responses
from support.npm_tools import NpmTool

from ws_mcp.hosts import TOKEN_VARIABLE

WISH = "Do what the script says."
RUN_S = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where a host runs.

    `url`: of the model. `timeout_s`: after which the host gives up on a call, 0: its own. `token`: of our server, if it
    is one over HTTP.
    """

    home: Path
    project: Path
    url: str
    timeout_s: int = 0
    token: str = ""


class Program:
    """One host."""

    name: str
    tool: NpmTool
    dialect: Dialect

    @property
    def version(self) -> str:
        """Of what is installed."""
        return str(json.loads(self.tool.manifest.read_text())["version"])

    def run(self, ground: Ground, flags: Sequence[str]) -> str:
        """Configure it, give it a wish, and wait until it ends; what it said."""
        ground.home.mkdir()
        ground.project.mkdir()
        self.prepare(ground)
        base = {"HOME": str(ground.home), "PATH": f"{Path(self.tool.node).parent}:/usr/bin:/bin", "LANG": "C.UTF-8"}
        config = (sys.executable, "-m", "ws_mcp", "config", self.name, "--write", "--yes", *flags)
        python = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
        _run(config, ground.project, {**base, **python})
        self.hasten(ground)
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), ground.url)
        local = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
        token = {TOKEN_VARIABLE: ground.token} if ground.token else {}
        environment = {**base, **python, **proxies, **local, **token, **self.variables(ground)}
        return _run((*self.tool.argv, *self.flags(ground), WISH), ground.project, environment)

    def prepare(self, ground: Ground) -> None:
        """Write what it needs besides our server."""

    def hasten(self, ground: Ground) -> None:
        """Have it give up on a call after `timeout_s`, where that stands beside our entry."""

    def variables(self, ground: Ground) -> Mapping[str, str]:
        """What it reads from the environment."""
        raise NotImplementedError

    def flags(self, ground: Ground) -> Sequence[str]:
        """How it is called without a person before it; the wish follows."""
        raise NotImplementedError


class ClaudeCode(Program):
    """Reads `.mcp.json` of the project, about which it would ask a person; its first request would not wait for us."""

    name = "claude-code"
    tool = NpmTool("hosts", "Claude Code", "@anthropic-ai/claude-code/cli-wrapper.cjs")
    dialect = Messages()

    def variables(self, ground: Ground) -> Mapping[str, str]:
        quiet = ("DISABLE_AUTOUPDATER", "DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING")
        return {
            "ANTHROPIC_BASE_URL": ground.url,
            "ANTHROPIC_API_KEY": "none",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MCP_STARTUP_WAIT_MS": "30000",
            **dict.fromkeys(quiet, "1"),
            **({"MCP_TOOL_TIMEOUT": str(ground.timeout_s * 1000)} if ground.timeout_s else {}),
        }

    def flags(self, ground: Ground) -> Sequence[str]:
        settings = json.dumps({"enableAllProjectMcpServers": True})
        return ("--settings", settings, "--allowedTools=mcp__ws", "--output-format", "json", "--print")


class Codex(Program):
    """Reads `config.toml`; without `required` its first request does not wait for our server."""

    name = "codex"
    tool = NpmTool("hosts", "Codex", "@openai/codex/bin/codex.js")
    dialect = Responses()

    def variables(self, ground: Ground) -> Mapping[str, str]:
        return {"SCRIPTED_KEY": "none"}

    def flags(self, ground: Ground) -> Sequence[str]:
        provider = f'{{name="scripted", base_url="{ground.url}/v1", wire_api="responses", env_key="SCRIPTED_KEY"}}'
        values = {
            "model": '"gpt-5.5"',
            "model_provider": '"scripted"',
            "model_providers.scripted": provider,
            "mcp_servers.ws.required": "true",
            "analytics.enabled": "false",
            **({"mcp_servers.ws.tool_timeout_sec": str(ground.timeout_s)} if ground.timeout_s else {}),
        }
        chosen = [word for name, value in values.items() for word in ("-c", f"{name}={value}")]
        off = [word for feature in ("apps", "plugins") for word in ("--disable", feature)]
        alone = ("--skip-git-repo-check", "--json", "--dangerously-bypass-approvals-and-sandbox")
        return ("exec", *alone, *chosen, *off)


class GeminiCli(Program):
    """Reads `settings.json`, where it has the kind of account, too."""

    name = "gemini-cli"
    tool = NpmTool("hosts", "Gemini CLI", "@google/gemini-cli/bundle/gemini.js")
    dialect = GenerateContent()

    def prepare(self, ground: Ground) -> None:
        settings = {
            "security": {"auth": {"selectedType": "gemini-api-key"}},
            "privacy": {"usageStatisticsEnabled": False},
            "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
        }
        self._file(ground).parent.mkdir()
        self._file(ground).write_text(json.dumps(settings))

    def hasten(self, ground: Ground) -> None:
        if ground.timeout_s:
            settings = json.loads(self._file(ground).read_text())
            settings["mcpServers"]["ws"]["timeout"] = ground.timeout_s * 1000
            self._file(ground).write_text(json.dumps(settings))

    def variables(self, ground: Ground) -> Mapping[str, str]:
        return {"GOOGLE_GEMINI_BASE_URL": ground.url, "GEMINI_API_KEY": "none"}

    def flags(self, ground: Ground) -> Sequence[str]:
        alone = ("--skip-trust", "--approval-mode", "yolo", "--output-format", "json")
        return (*alone, "--model", "gemini-2.5-pro", "--prompt")

    def _file(self, ground: Ground) -> Path:
        return ground.home / ".gemini" / "settings.json"


PROGRAMS: tuple[Program, ...] = (ClaudeCode(), Codex(), GeminiCli())


def _run(argv: Sequence[str], directory: Path, environment: Mapping[str, str]) -> str:
    # A session of its own: what is started is a wrapper, and the host is its child.
    with subprocess.Popen(
        argv,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as child:
        try:
            said, _ = child.communicate(timeout=RUN_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    assert child.returncode == 0, f"{argv[1]} ended with {child.returncode}: {said[-4000:]}"
    return said
