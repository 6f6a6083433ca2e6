"""The command line: servers for assistants and views for people; the work is done by the modules that it calls."""

from __future__ import annotations

import argparse
import gc
import os
import re
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from pydantic import ValidationError

from ws_mcp import __version__
from ws_mcp.cli_http import add_create_flags, add_http_flags, http_choices_of
from ws_mcp.cli_policy import DESCRIPTION
from ws_mcp.cli_policy import EPILOG as EPILOG_OF_POLICY
from ws_mcp.core.errors import StateError, WsError
from ws_mcp.logs import FORMATS, configure
from ws_mcp.settings import Settings, from_environment, metavar_of

if TYPE_CHECKING:  # argparse has no public name for it
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

EPILOG = """\
examples:
  ws-mcp demo                          see what it does (works with and without a container engine)
  ws-mcp doctor                        what was found on this machine, and what to do about it
  claude mcp add ws -- ws-mcp stdio    use it in Claude Code; other hosts: examples/
  ws-mcp http                          serve over HTTP; `ws-mcp token` makes tokens for its clients
  ws-mcp ps                            what runs, in which chat
  ws-mcp policy --help                 say who may do what, and ask what that comes to
  ws-mcp chats                         which chats there are; close ends all that one has
  ws-mcp sweep                         what belongs to nobody on the engine; --apply removes it

Every setting is a flag and a variable: --local-network is WS_MCP_LOCAL_NETWORK=true. What can be given several times is
repeated as a flag, and JSON or a list in a variable: WS_MCP_ROOT=/a:/b, WS_MCP_SIZE=2.cpus=4,2.memory_mib=2048.
"""


def main() -> None:
    """Console script `ws-mcp`."""
    sys.exit(run(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    options = vars(_parser().parse_args(argv))
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
    """The settings that flags and variables make, taken out of `options`; None if one is bad, which was said then."""
    given = {name: options.pop(name, None) for name in Settings.model_fields}
    flags = {name: value for name, value in given.items() if value is not None}
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ws-mcp",
        description="MCP server: durable workspaces and background processes for AI assistants.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ws-mcp {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(commands, "stdio", _stdio, "serve one MCP client over stdin and stdout (what hosts start)")
    add_http_flags(_add(commands, "http", _http, "serve MCP clients over streamable HTTP, each with a token"))
    _add_token(commands)
    _add(commands, "demo", _demo, "run the main job through a real MCP client and print a transcript")
    _add(commands, "doctor", _doctor, "say what was found (engine, storage, execd, sandbox) and what to do about it")
    ps = _add(commands, "ps", _ps, "show workspaces and processes, chat by chat")
    ps.add_argument("--all", action="store_true", help="ended processes, too")
    _add_sweep(commands)
    _add_policy(commands)
    _add_audit(commands)
    _add_chats(commands)
    return parser


def _add_token(commands: Commands) -> None:
    text = "make, list and revoke the tokens of HTTP clients"
    token = commands.add_parser("token", help=text, description=text[0].upper() + text[1:] + ".")
    acts = token.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_create_flags(_add(acts, "create", _create_token, "make a token and show it, this once"), _seconds)
    _add(acts, "list", _list_tokens, "list the tokens, without any secret")
    revoke = _add(acts, "revoke", _revoke_token, "take a token away, at once")
    revoke.add_argument("name", help="the token, as the list names it")


def _add_audit(commands: Commands) -> None:
    text = "show, check or export what was asked of this instance's servers, and what became of it"
    audit = commands.add_parser("audit", help=text, description=text[0].upper() + text[1:] + ".")
    acts = audit.add_subparsers(title="commands", metavar="COMMAND", required=True)
    tail = _add(acts, "tail", partial(_audit, "tail"), "show the last lines")
    tail.add_argument("-f", "--follow", action="store_true", help="and those that come")
    tail.add_argument("-n", "--lines", type=int, default=50, metavar="N", help="how many (default %(default)s)")
    _add(acts, "verify", partial(_audit, "verify"), "say whether a line was changed, removed or moved")
    export = _add(acts, "export", partial(_audit, "export"), "write all lines to stdout as JSON, oldest file first")
    export.add_argument("-f", "--follow", action="store_true", help="and those that come")


def _add_sweep(commands: Commands) -> None:
    sweep = _add(commands, "sweep", _sweep, "show what of this instance belongs to nobody on the engine, or remove it")
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
    check = _add(acts, "check", _check_policy, "say what is wrong with a policy file, or what it grants")
    check.add_argument("file", metavar="FILE", help="the policy")
    explain = _add(
        acts, "explain", _explain_policy, "say whether a call is allowed (exit code 0 or 1), and by which rule"
    )
    explain.add_argument("call", metavar="CALL.json", help="the call; `ws-mcp policy --help` shows one")


def _add_chats(commands: Commands) -> None:
    chats = _add(commands, "chats", _chats, "show the chats of this instance, or close one")
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


@contextmanager
def _importing() -> Generator[None]:
    """For the imports of a server: they allocate much and free nothing, so collecting meanwhile only costs (10 %)."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def _stdio(settings: Settings, _options: dict[str, object]) -> int:
    with _importing():
        from ws_mcp.edge.identity import stdio_hint  # noqa: PLC0415 - each command pays only for its own imports
        from ws_mcp.server import run_stdio  # noqa: PLC0415 - as above

    anyio.run(run_stdio, settings, stdio_hint(os.environ, _directory()))
    return 0


def _directory() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError as error:
        raise StateError("the directory that this server was started in is gone; start it in another one") from error


def _http(settings: Settings, options: dict[str, object]) -> int:
    choices = http_choices_of(options)
    with _importing():
        from ws_mcp.over_http import run_http  # noqa: PLC0415 - as above

    anyio.run(run_http, settings, choices)
    return 0


def _create_token(settings: Settings, options: dict[str, object]) -> int:
    from ws_mcp.tokens import Wish, create  # noqa: PLC0415 - as above

    life = options["expires"]
    wish = Wish(
        principal=str(options["principal"]),
        name=str(options["name"]),
        is_read_only=bool(options["read_only"]),
        life_s=int(str(life)) if life is not None else None,
        chat=str(options["chat"]),
    )
    return create(settings, wish)


def _list_tokens(settings: Settings, _options: dict[str, object]) -> int:
    from ws_mcp.tokens import show  # noqa: PLC0415 - as above

    return show(settings)


def _revoke_token(settings: Settings, options: dict[str, object]) -> int:
    from ws_mcp.tokens import revoke  # noqa: PLC0415 - as above

    return revoke(settings, str(options["name"]))


def _demo(settings: Settings, _options: dict[str, object]) -> int:
    from ws_mcp.demo import demo  # noqa: PLC0415 - as above

    return anyio.run(demo, settings)


def _doctor(settings: Settings, _options: dict[str, object]) -> int:
    from ws_mcp.doctor import doctor  # noqa: PLC0415 - as above

    return anyio.run(doctor, settings)


def _ps(settings: Settings, options: dict[str, object]) -> int:
    from ws_mcp.ps import ps  # noqa: PLC0415 - as above

    return anyio.run(ps, settings, bool(options["all"]))


def _audit(act: str, settings: Settings, options: dict[str, object]) -> int:
    from ws_mcp.audit import export, tail, verify  # noqa: PLC0415 - as above

    if act == "tail":
        return anyio.run(tail, settings, int(str(options["lines"])), bool(options["follow"]))
    if act == "export":
        return anyio.run(export, settings, bool(options["follow"]))
    return anyio.run(verify, settings)


def _chats(settings: Settings, options: dict[str, object]) -> int:
    from ws_mcp.chats import close_chat, list_chats  # noqa: PLC0415 - as above
    from ws_mcp.core.closing import Closing  # noqa: PLC0415 - as above

    if options["action"] == "list":
        return anyio.run(list_chats, settings)
    how = Closing.STOP if options["stop"] else Closing.DELETE if options["data"] else Closing.REMOVE
    return anyio.run(close_chat, settings, str(options["chat"]), how)


def _sweep(settings: Settings, options: dict[str, object]) -> int:
    from ws_mcp.core.workspaces.sweeper import SweepWish  # noqa: PLC0415 - as above
    from ws_mcp.sweep import sweep  # noqa: PLC0415 - as above

    wish = SweepWish(
        is_dry_run=not options["apply"],
        prefix=str(options["prefix"]),
        has_data=bool(options["data"]),
        older_than_s=int(str(options["older_than"])),
    )
    return anyio.run(sweep, settings, wish)


def _check_policy(settings: Settings, options: dict[str, object]) -> int:
    from ws_mcp.policy import check  # noqa: PLC0415 - as above

    return check(settings, str(options["file"]))


def _explain_policy(settings: Settings, options: dict[str, object]) -> int:
    from ws_mcp.policy import explain  # noqa: PLC0415 - as above

    return explain(settings, str(options["call"]))
