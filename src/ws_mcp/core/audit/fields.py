"""What of an act is written down: who, what, a keyed digest of the arguments, and fields that hold no secret (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import cast

from pydantic_core import PydanticSerializationError, to_json

from ws_mcp.core.errors import one_line
from ws_mcp.core.policy.acts import Act, Clean, Verdict
from ws_mcp.core.redaction import without_handles

# Never a command, an environment, a content or a pattern: what is not named here is in the digest only.
SHOWN = ("name", "workspace", "image", "tier", "kind", "signal", "process_id", "restart", "keep_data", "action", "path")
SHOWN_OPTIONS = ("runtime", "folder", "access", "network", "replace", "dry_run", "template", "home")
MAX_CHARACTERS = 200
DIGEST_CHARACTERS = 32


def fields_of(act: Act, verdict: Verdict, key: bytes, clean: Clean) -> dict[str, object]:
    """An intent, without when and which. `clean`: takes secrets out of what the caller words."""
    arguments = act.arguments

    def cleaned(text: str) -> str:
        return clean(act.clean(text))

    shown = _shown(arguments, SHOWN, cleaned)
    options = arguments.get("options")
    if options is not None:
        inner = cast("Mapping[str, object]", options if isinstance(options, Mapping) else vars(options))
        shown |= {f"options.{name}": value for name, value in _shown(inner, SHOWN_OPTIONS, cleaned).items()}
    said: dict[str, object] = {
        "principal": one_line(act.principal.id, MAX_CHARACTERS),
        "chat": act.chat or "",
        "via": "own" if act.is_own else act.transport,
        "verb": cleaned(one_line(act.verb, MAX_CHARACTERS)),
        "target": cleaned(without_handles(one_line(act.target, MAX_CHARACTERS))),
        "arguments": digest_of(arguments, key),
        "shown": shown,
        "decision": "allow" if verdict.is_allowed else "deny",
        "rule": one_line(verdict.rule, MAX_CHARACTERS),
    }
    return {name: value for name, value in said.items() if value not in ("", {})}


def digest_of(arguments: Mapping[str, object], key: bytes) -> str:
    """Tells equal arguments from others. Keyed: a secret among them cannot be guessed from it."""
    ordered = dict(sorted(arguments.items()))
    try:
        body = to_json(ordered, inf_nan_mode="strings", serialize_unknown=True)
    except PydanticSerializationError:  # half of a surrogate pair, which no tool takes
        body = repr(ordered).encode(errors="backslashreplace")
    return blake2b(body, key=key, digest_size=DIGEST_CHARACTERS // 2).hexdigest()


def _shown(arguments: Mapping[str, object], names: tuple[str, ...], clean: Clean) -> dict[str, object]:
    found = ((name, arguments.get(name)) for name in names)
    return {name: _plain(value, clean) for name, value in found if value not in (None, "")}


def _plain(value: object, clean: Clean) -> object:
    return value if isinstance(value, bool | int) else clean(one_line(str(value), MAX_CHARACTERS))
