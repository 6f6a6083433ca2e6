"""What each command of the command line runs; each imports only what it needs."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast

import anyio

from ws_mcp.cli_http import auth_of, http_choices_of
from ws_mcp.core.errors import StateError
from ws_mcp.settings import Settings


@contextmanager
def _importing() -> Generator[None]:
    """For the imports of a server: they allocate much and free nothing, so collecting meanwhile only costs (10 %)."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def stdio(settings: Settings, _options: dict[str, object]) -> int:
    """Serve over stdin and stdout."""
    with _importing():
        from ws_mcp.edge.identity import stdio_hint  # noqa: PLC0415 - each command pays only for its own imports
        from ws_mcp.edge.serve import run  # noqa: PLC0415 - as above
        from ws_mcp.server import run_stdio  # noqa: PLC0415 - as above

    run(run_stdio, settings, stdio_hint(os.environ, _directory()))
    return 0


def _directory() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError as error:
        raise StateError("the directory that this server was started in is gone; start it in another one") from error


def http(settings: Settings, options: dict[str, object]) -> int:
    """Serve over HTTP."""
    choices = http_choices_of(options)
    with _importing():
        from ws_mcp.edge.serve import run  # noqa: PLC0415 - as above
        from ws_mcp.over_http import run_http  # noqa: PLC0415 - as above

    run(run_http, settings, choices, auth_of(options))
    return 0


def create_token(settings: Settings, options: dict[str, object]) -> int:
    """Make a token."""
    from ws_mcp.tokens import Wish, create  # noqa: PLC0415 - as above

    life = options["expires"]
    wish = Wish(
        principal=str(options["principal"]),
        name=str(options["name"]),
        is_read_only=bool(options["for_reading"]),
        life_s=int(str(life)) if life is not None else None,
        chat=str(options["chat"]),
    )
    return create(settings, wish)


def list_tokens(settings: Settings, _options: dict[str, object]) -> int:
    """List tokens."""
    from ws_mcp.tokens import show  # noqa: PLC0415 - as above

    return show(settings)


def revoke_token(settings: Settings, options: dict[str, object]) -> int:
    """Revoke one."""
    from ws_mcp.tokens import revoke  # noqa: PLC0415 - as above

    return revoke(settings, str(options["name"]))


def demo(settings: Settings, _options: dict[str, object]) -> int:
    """Run the demo."""
    from ws_mcp.demo import demo  # noqa: PLC0415 - as above

    return anyio.run(demo, settings)


def doctor(settings: Settings, _options: dict[str, object]) -> int:
    """Say what was found."""
    from ws_mcp.doctor import doctor  # noqa: PLC0415 - as above

    return anyio.run(doctor, settings)


def health(settings: Settings, _options: dict[str, object]) -> int:
    """Ask a running server."""
    from ws_mcp.health import health  # noqa: PLC0415 - as above

    return health(settings)


def ps(settings: Settings, options: dict[str, object]) -> int:
    """Show what runs."""
    from ws_mcp.ps import ps  # noqa: PLC0415 - as above

    return anyio.run(ps, settings, bool(options["all"]))


def audit(act: str, settings: Settings, options: dict[str, object]) -> int:
    """Show, check or export the audit."""
    from ws_mcp.audit import export, tail, verify  # noqa: PLC0415 - as above

    if act == "tail":
        return anyio.run(tail, settings, int(str(options["lines"])), bool(options["follow"]))
    if act == "export":
        return anyio.run(export, settings, bool(options["follow"]))
    return anyio.run(verify, settings)


def chats(settings: Settings, options: dict[str, object]) -> int:
    """List the chats, or close one."""
    from ws_mcp.chats import close_chat, list_chats  # noqa: PLC0415 - as above
    from ws_mcp.core.closing import Closing  # noqa: PLC0415 - as above

    if options["action"] == "list":
        return anyio.run(list_chats, settings)
    how = Closing.STOP if options["stop"] else Closing.DELETE if options["data"] else Closing.REMOVE
    return anyio.run(close_chat, settings, str(options["chat"]), how)


def config(_settings: Settings, options: dict[str, object]) -> int:
    """Tell a host of this server."""
    from ws_mcp.config import ConfigWish, config, flags_of  # noqa: PLC0415 - as above

    wish = ConfigWish(
        host=str(options["host"]),
        url=str(options["http"]),
        flags=tuple(flags_of(cast("dict[str, object]", options["given"]))),
        uvx=str(options["uvx"]),
        writes=bool(options["write"]),
        is_sure=bool(options["yes"]),
    )
    return config(wish)


def sweep(settings: Settings, options: dict[str, object]) -> int:
    """Show or remove what belongs to nobody."""
    from ws_mcp.core.workspaces.sweeper import SweepWish  # noqa: PLC0415 - as above
    from ws_mcp.sweep import sweep  # noqa: PLC0415 - as above

    wish = SweepWish(
        is_dry_run=not options["apply"],
        prefix=str(options["prefix"]),
        has_data=bool(options["data"]),
        older_than_s=int(str(options["older_than"])),
    )
    return anyio.run(sweep, settings, wish)


def repair(settings: Settings, options: dict[str, object]) -> int:
    """Show or mend a damaged state."""
    from ws_mcp.repair import repair  # noqa: PLC0415 - as above

    return anyio.run(partial(repair, settings, is_applied=bool(options["apply"])))


def replace(settings: Settings, options: dict[str, object]) -> int:
    """Give up what is on a lost node."""
    from ws_mcp.replace import replace  # noqa: PLC0415 - as above

    return anyio.run(partial(replace, settings, str(options["workspace"]), is_forced=bool(options["force"])))


def check_policy(settings: Settings, options: dict[str, object]) -> int:
    """Judge a policy file."""
    from ws_mcp.policy import check  # noqa: PLC0415 - as above

    return check(settings, str(options["file"]))


def explain_policy(settings: Settings, options: dict[str, object]) -> int:
    """Judge a call."""
    from ws_mcp.policy import explain  # noqa: PLC0415 - as above

    return explain(settings, str(options["call"]))
