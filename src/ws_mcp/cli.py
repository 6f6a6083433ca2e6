"""The command line: servers for assistants and views for people; the work is done by the modules that it calls."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ws_mcp import __version__
from ws_mcp import cli_runs as runs
from ws_mcp.cli_http import add_create_flags, add_http_flags
from ws_mcp.cli_policy import DESCRIPTION
from ws_mcp.cli_policy import EPILOG as EPILOG_OF_POLICY
from ws_mcp.core.errors import WsError
from ws_mcp.logs import FORMATS, configure
from ws_mcp.setting_texts import has_password
from ws_mcp.settings import Settings, from_environment, metavar_of

if TYPE_CHECKING:  # argparse has no public name for it
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

EPILOG = """\
examples:
  ws-mcp stdio                         what a host is told to start
  ws-mcp demo                          see what it does (works with and without a container engine)
  ws-mcp doctor                        what was found on this machine, and what to do about it
  ws-mcp config codex                  what a host has to be told to use it; --write puts it there
  ws-mcp http                          serve over HTTP; `ws-mcp token` makes tokens for its clients
  ws-mcp ps                            what runs, in which chat
  ws-mcp policy --help                 say who may do what, and ask what that comes to
  ws-mcp chats                         which chats there are; close ends all that one has
  ws-mcp sweep                         what belongs to nobody on the engine; --apply removes it
  ws-mcp repair                        what can be saved of a damaged state; --apply makes it whole
  ws-mcp replace WORKSPACE             give up what it has on a lost node of a swarm

Every setting is a flag and a variable: --local-network is WS_MCP_LOCAL_NETWORK=true. What can be given several times is
repeated as a flag, and JSON or a list in a variable: WS_MCP_ROOT=/a:/b, WS_MCP_SIZE=2.cpus=4,2.memory_mib=2048.
"""

# Named here, for what is known of them is loaded only where it is asked for: servers begin here, too.
HOSTS = ("claude-desktop", "claude-code", "codex", "gemini-cli", "vscode", "cursor", "generic")


def main() -> None:
    """Console script `ws-mcp`."""
    sys.exit(run(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    parser = parser_of_all()
    if not argv:
        # A host that was not told `stdio` shows its user what is written to stderr, and reads stdout as the protocol.
        parser.print_help(sys.stderr)
        return 2
    options = vars(parser.parse_args(argv))
    command: Callable[[Settings, dict[str, object]], int] = options.pop("command")
    configure(options.pop("log_level"), options.pop("log_format"), os.environ)
    settings = settings_of(options)
    if settings is None:
        return 2
    try:
        return command(settings, options)
    except* WsError as group:
        problems = list(_texts(group))
    for problem in problems:
        print(f"ws-mcp: {problem}", file=sys.stderr)  # noqa: T201
    return 1


def settings_of(options: dict[str, object]) -> Settings | None:
    """The settings that flags and variables make; None if one is bad, which was said then.

    Their flags are taken out of `options`; those that were given are kept there as one, `given`.
    """
    all_flags = {name: options.pop(name, None) for name in Settings.model_fields}
    options["given"] = flags = {name: value for name, value in all_flags.items() if value is not None}
    if has_password(str(flags.get("state_database", ""))):
        # Whoever is on this machine can read the arguments of a program.
        said = "a password does not belong into a flag: WS_MCP_STATE_DATABASE, PGPASSFILE or PGPASSWORD can hold it"
        print(f"ws-mcp: setting state_database: {said}", file=sys.stderr)  # noqa: T201
        return None
    try:
        return Settings.model_validate({**from_environment(), **flags})
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            what = ".".join(map(str, problem["loc"]))
            print(f"ws-mcp: setting {what}: {problem['msg'].removeprefix('Value error, ')}", file=sys.stderr)  # noqa: T201
        return None


def _texts(group: BaseExceptionGroup[WsError]) -> Iterator[str]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _texts(error)
        else:
            yield str(error)


def parser_of_all() -> argparse.ArgumentParser:
    """What every command takes."""
    parser = argparse.ArgumentParser(
        prog="ws-mcp",
        description="MCP server: durable workspaces and background processes for AI assistants.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ws-mcp {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(commands, "stdio", runs.stdio, "serve one MCP client over stdin and stdout (what hosts start)")
    add_http_flags(_add(commands, "http", runs.http, "serve MCP clients over streamable HTTP, each with a token"))
    _add_token(commands)
    _add(commands, "demo", runs.demo, "run the main job through a real MCP client and print a transcript")
    _add(
        commands, "doctor", runs.doctor, "say what was found (engine, storage, execd, sandbox) and what to do about it"
    )
    _add(commands, "health", runs.health, "ask the server at the socket of --metrics whether it is fit to serve")
    ps = _add(commands, "ps", runs.ps, "show workspaces and processes, chat by chat")
    ps.add_argument("--all", action="store_true", help="ended processes, too")
    _add_sweep(commands)
    replace = _add(commands, "replace", runs.replace, "give up what a workspace has on a lost node of a swarm")
    replace.add_argument("workspace", metavar="WORKSPACE", help="its name, or its place")
    replace.add_argument("--force", action="store_true", help="also where the node is only drained")
    mend = _add(commands, "repair", runs.repair, "show what can be saved of a damaged state, or make it whole again")
    mend.add_argument("--apply", action="store_true", help="do it; without this nothing is changed")
    _add_policy(commands)
    _add_audit(commands)
    _add_chats(commands)
    _add_config(commands)
    return parser


def _add_config(commands: Commands) -> None:
    config = _add(commands, "config", runs.config, "print what a host has to be told of a server, or write it")
    config.add_argument("host", choices=HOSTS, metavar="HOST", help=", ".join(HOSTS))
    config.add_argument("--http", default="", metavar="URL", help="a server that runs at this address")
    config.add_argument(
        "--uvx",
        default="",
        metavar="FROM",
        help="start what uvx gets from there (a wheel, a git URL), not this",
    )
    config.add_argument("--write", action="store_true", help="put it into the host's file, after showing the change")
    config.add_argument("--yes", action="store_true", help="of --write: do not ask")


def _add_token(commands: Commands) -> None:
    text = "make, list and revoke the tokens of HTTP clients"
    token = commands.add_parser("token", help=text, description=text[0].upper() + text[1:] + ".")
    acts = token.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_create_flags(_add(acts, "create", runs.create_token, "make a token and show it, this once"), _seconds)
    _add(acts, "list", runs.list_tokens, "list the tokens, without any secret")
    revoke = _add(acts, "revoke", runs.revoke_token, "take a token away, at once")
    revoke.add_argument("name", help="the token, as the list names it")


def _add_audit(commands: Commands) -> None:
    text = "show, check or export what was asked of this instance's servers, and what became of it"
    audit = commands.add_parser("audit", help=text, description=text[0].upper() + text[1:] + ".")
    acts = audit.add_subparsers(title="commands", metavar="COMMAND", required=True)
    tail = _add(acts, "tail", partial(runs.audit, "tail"), "show the last lines")
    tail.add_argument("-f", "--follow", action="store_true", help="and those that come")
    tail.add_argument("-n", "--lines", type=int, default=50, metavar="N", help="how many (default %(default)s)")
    _add(acts, "verify", partial(runs.audit, "verify"), "say whether a line was changed, removed or moved")
    export = _add(acts, "export", partial(runs.audit, "export"), "write all lines to stdout as JSON, oldest file first")
    export.add_argument("-f", "--follow", action="store_true", help="and those that come")


def _add_sweep(commands: Commands) -> None:
    sweep = _add(commands, "sweep", runs.sweep, "show what of this instance belongs to nobody, or remove it")
    sweep.add_argument("--apply", action="store_true", help="remove it; without this nothing is changed")
    sweep.add_argument("--prefix", default="", metavar="NAME", help="only of workspaces whose names begin so")
    sweep.add_argument("--data", action="store_true", help="data that was kept when its workspace was removed, too")
    sweep.add_argument(
        "--older-than", type=_seconds, default=600, metavar="AGE", help="90s, 10m, 12h or 7d (default: 10m)"
    )


def _add_policy(commands: Commands) -> None:
    policy = commands.add_parser(
        "policy",
        help="check a policy file, or ask what it says to a call",
        description=DESCRIPTION,
        epilog=EPILOG_OF_POLICY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    acts = policy.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = _add(acts, "check", runs.check_policy, "say what is wrong with a policy file, or what it decides")
    check.add_argument("file", metavar="FILE", help="the policy")
    explain = _add(
        acts, "explain", runs.explain_policy, "say whether a call is allowed (exit code 0 or 1), and by which rule"
    )
    explain.add_argument("call", metavar="CALL.json", help="the call; `ws-mcp policy --help` shows one")


def _add_chats(commands: Commands) -> None:
    chats = _add(commands, "chats", runs.chats, "show the chats of this instance, or close one")
    chats.add_argument("action", nargs="?", choices=["list", "close"], default="list", help="default: list")
    chats.add_argument("chat", nargs="?", default="", metavar="CHAT", help="id of the one to close, or how it begins")
    what = chats.add_mutually_exclusive_group()
    what.add_argument("--stop", action="store_true", help="of close: keep its workspaces, stopped")
    what.add_argument("--data", action="store_true", help="of close: remove the data of its workspaces, too")


def _seconds(text: str) -> int:
    found = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; write 90s, 10m, 12h or 7d")
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]]


def _add(
    commands: Commands,
    name: str,
    run: Callable[[Settings, dict[str, object]], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(command=run)
    parser.add_argument(
        "--log-level", default="warning", choices=["debug", "info", "warning", "error"], help="to stderr"
    )
    parser.add_argument("--log-format", default="text", choices=FORMATS, help="to stderr")
    for setting, field in Settings.model_fields.items():
        flag = "--" + setting.replace("_", "-")
        text = field.description or ""
        if field.annotation is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            # Texts, whatever it is: `Settings` says in one line what is wrong with one, from a variable, too.
            metavar = metavar_of(field)
            action = "append" if metavar.is_repeated else "store"
            parser.add_argument(flag, action=action, default=None, metavar=metavar.text, help=text)
    return parser
