"""How each host is told of a server: its file, and what stands there (pure).

Source: the documents of the hosts, and runs of Claude Code, Codex and Gemini CLI.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

NAME = "ws"  # hosts put it before the name of each tool
TOKEN_VARIABLE = "WS_MCP_TOKEN"  # noqa: S105 - the name of a variable; tokens never stand in such a file

Entry = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host. `file`: below the home directory, or (`is_project`) below the directory of the project.

    `bearer`: how it writes the value of the token's variable; "" where it cannot use HTTP by its file. `more`: what an
    entry has besides the command. `whole`: what stands beside the entries of HTTP servers.
    """

    name: str
    title: str
    file: str
    mac_file: str = ""
    directory_variable: str = ""  # names another directory for the file
    is_project: bool = False
    form: Literal["json", "toml"] = "json"
    servers: str = "mcpServers"
    url: str = "url"
    type: str = ""
    bearer: str = ""
    more: Entry = field(default_factory=dict[str, object])
    whole: Entry = field(default_factory=dict[str, object])


_VSCODE_INPUT = {"type": "promptString", "id": "ws-mcp-token", "description": "Token of ws-mcp", "password": True}

HOSTS = (
    Host(
        name="claude-desktop",
        title="Claude Desktop",
        file=".config/Claude/claude_desktop_config.json",
        mac_file="Library/Application Support/Claude/claude_desktop_config.json",
    ),
    Host(
        name="claude-code",
        title="Claude Code",
        file=".mcp.json",
        is_project=True,
        type="http",
        bearer=f"${{{TOKEN_VARIABLE}}}",
    ),
    Host(
        name="codex",
        title="Codex",
        file=".codex/config.toml",
        directory_variable="CODEX_HOME",
        form="toml",
        servers="mcp_servers",
        # A first start by uvx installs. A call of ours ends after 45 s at most.
        more={"startup_timeout_sec": 30, "tool_timeout_sec": 300},
    ),
    Host(
        name="gemini-cli",
        title="Gemini CLI",
        file=".gemini/settings.json",
        url="httpUrl",
        bearer=f"${TOKEN_VARIABLE}",
        more={"timeout": 120_000},
    ),
    Host(
        name="vscode",
        title="VS Code",
        file=".vscode/mcp.json",
        is_project=True,
        servers="servers",
        type="http",
        bearer=f"${{input:{_VSCODE_INPUT['id']}}}",
        whole={"inputs": [_VSCODE_INPUT]},
    ),
    Host(
        name="cursor",
        title="Cursor",
        file=".cursor/mcp.json",
        is_project=True,
        bearer=f"${{env:{TOKEN_VARIABLE}}}",
    ),
    Host(name="generic", title="any other host", file="", type="http", bearer=f"${{{TOKEN_VARIABLE}}}"),
)
BY_NAME: Mapping[str, Host] = {host.name: host for host in HOSTS}


def has_http(host: Host) -> bool:
    """Whether a file can name a server that is reached over HTTP."""
    return bool(host.bearer) or host.form == "toml"


def over_stdio(host: Host, command: Sequence[str]) -> dict[str, object]:
    """What the host's file has for a server that it starts itself."""
    program, *words = command
    entry: dict[str, object] = {"command": program, "args": words, **host.more}
    return {host.servers: {NAME: entry}}


def over_http(host: Host, url: str) -> dict[str, object]:
    """What it has for a server at `url`, whose token is in a variable of the host's environment."""
    if host.form == "toml":
        entry: dict[str, object] = {"url": url, "bearer_token_env_var": TOKEN_VARIABLE, **host.more}
    else:
        kind = {"type": host.type} if host.type else {}
        entry = {**kind, host.url: url, "headers": {"Authorization": f"Bearer {host.bearer}"}, **host.more}
    return {host.servers: {NAME: entry}, **host.whole}


def as_text(host: Host, config: Entry) -> str:
    """The text that the host reads."""
    if host.form == "json":
        return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    lines: list[str] = []
    for name, entry in _entries(config, host.servers):
        lines += [f"[{host.servers}.{name}]", *(f"{key} = {_toml(value)}" for key, value in entry.items())]
    return "\n".join(lines) + "\n"


def _entries(config: Entry, servers: str) -> list[tuple[str, Mapping[str, object]]]:
    return list(cast("Mapping[str, Mapping[str, object]]", config[servers]).items())


def _toml(value: object) -> str:
    # Texts, numbers and lists of texts of JSON are the same in TOML.
    return json.dumps(value, ensure_ascii=False)
