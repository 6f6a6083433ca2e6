"""What a process of an agent finds in its environment beside what was asked for (pure).

Nobody sits at the keyboard: programs should not page, open an editor, ask, or colour.
"""

from __future__ import annotations

from collections.abc import Mapping

from ws_mcp.core.ids import ChatId

CHAT_VARIABLE = "WS_MCP_CHAT"
RESERVED = "WSMCP_"

_QUIET = {
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "MANPAGER": "cat",
    "SYSTEMD_PAGER": "cat",
    "EDITOR": "true",
    "VISUAL": "true",
    "GIT_EDITOR": "true",
    "GIT_SEQUENCE_EDITOR": "true",
    "GIT_TERMINAL_PROMPT": "0",
    "GCM_INTERACTIVE": "never",
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_NO_INPUT": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "COMPOSER_NO_INTERACTION": "1",
    "npm_config_yes": "true",
    "npm_config_fund": "false",
    "npm_config_update_notifier": "false",
    # Into a pipe Python would hold back its output in blocks, and a server would seem silent.
    "PYTHONUNBUFFERED": "1",
}
_PLAIN = {"TERM": "dumb", "NO_COLOR": "1"}
_TERMINAL = {"TERM": "xterm-256color"}


def environment_of(asked: Mapping[str, str], chat: ChatId, *, has_tty: bool) -> dict[str, str]:
    """The quiet environment, over it what was asked for, over that the name of the chat."""
    return {**_QUIET, **(_TERMINAL if has_tty else _PLAIN), **asked, CHAT_VARIABLE: chat}
