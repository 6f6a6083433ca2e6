"""What doctor says of where a server's own files are: the state, the tokens, a socket, beside what workspaces may have.

Blocking: it reads the tokens file.
"""

from __future__ import annotations

from collections.abc import Iterator

from ws_mcp.auth import tokens_in_force
from ws_mcp.console import Mark, home_path
from ws_mcp.core.errors import PolicyError, StateError
from ws_mcp.edge.token_file import TokenFile
from ws_mcp.facts import Fact
from ws_mcp.own_files import exposed, state_over
from ws_mcp.settings import Settings, tokens_of


def own_facts(settings: Settings) -> list[Fact]:
    """What is not as it should be; nothing where all is."""
    return [*_state(settings), *_exposed(settings), *_tokens(settings)]


def _state(settings: Settings) -> Iterator[Fact]:
    if root := state_over(settings, settings.root):
        text = f"it is below the root {home_path(str(root))}: no folder that holds it is given to a workspace"
        yield Fact("state", text, Mark.WARN, "name the directories of your projects as roots, or another --state")


def _exposed(settings: Settings) -> Iterator[Fact]:
    for flag, path in exposed(settings, settings.root).items():
        text = f"{flag} {home_path(str(path))} is below a root: who has it can call a server as you, so none starts"
        yield Fact("root", text, Mark.BAD, "put it elsewhere, as into the state directory, or name other roots", True)


def _tokens(settings: Settings) -> Iterator[Fact]:
    try:
        file = tokens_in_force(settings)
    except PolicyError:
        return  # the facts about the policy say it
    if file != tokens_of(settings):
        return  # the policy names it: the facts about that say how it is
    try:
        TokenFile(file).records()
    except StateError as error:
        text, _, advice = str(error).partition("; ")
        yield Fact("tokens", text, Mark.BAD, advice, True)
