"""The kinds of arguments that tools take, each with its bound, and what a caller is told who gives a bad one.

Values are checked here as far as that needs no knowledge of what runs: sizes, NUL bytes, numbers out of range.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, cast, get_args

from mcp.server.mcpserver.tools import Tool
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo

from ws_mcp.core.errors import InvalidArgumentError, one_line
from ws_mcp.edge.json_shape import ShapeError, check_shape

IGNORED = frozenset({"wait_for_previous"})  # one host adds it to every tool and sends it along
MAX_TEXT_BYTES = 4096  # names, directories, patterns: more is never one of these
MAX_COMMAND_BYTES = 64 * 1024  # below what Linux takes as one argument (128 KiB)
MAX_ENVIRONMENT_BYTES = 128 * 1024
MAX_ENVIRONMENT = 128
MAX_ARGUMENTS = 4096
MAX_INPUT_BYTES = 1024 * 1024
MAX_WAIT_S = 45.0  # hosts give a call up after 60 s
MAX_READ_WAIT_S = 30.0  # a read is cheap to repeat, and costs nothing but its time
MAX_LIMIT_S = 30 * 24 * 3600.0
MAX_NUMBER = 2**31  # of what is counted: more is a mistake, whatever it is
MAX_PROBLEMS = 1000  # characters
MAX_WRONG = 256  # values whose problems are looked at one by one: each costs as much as a whole good call


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("has a NUL byte, which no process can be given: leave it out")
    return text


def _bounded(limit: int, remedy: str) -> AfterValidator:
    def check(text: str) -> str:
        if len(text.encode()) > limit:
            raise ValueError(f"is too long: at most {limit} bytes; {remedy}")
        return text

    return AfterValidator(check)


def unpacked(value: object) -> object:
    """Some hosts send lists and objects as JSON in a string."""
    if not isinstance(value, str) or value[:1] not in ("[", "{"):
        return value
    try:
        check_shape(value.encode())  # a text of 4 MiB is one value of its message, and may be a million here
        return cast("object", json.loads(value))
    except (ValueError, ShapeError):
        return value


def _unpacked_words(value: object) -> object:
    """As `unpacked`, but `[ 1 ]` is a shell line, too: only a list of texts can be nothing else than a list."""
    found = unpacked(value)
    if not isinstance(found, list):
        return value
    words = cast("list[object]", found)
    return words if isinstance(value, list) or (words and all(isinstance(word, str) for word in words)) else value


def _command(command: str | list[str]) -> str | list[str]:
    words = [command] if isinstance(command, str) else command
    _without_nul("".join(words))
    if not words or not words[0].strip():
        raise ValueError("is empty: give a shell line, or a list of program and arguments")
    if len(words) > MAX_ARGUMENTS or sum(len(word.encode()) for word in words) > MAX_COMMAND_BYTES:
        raise ValueError(f"is too long: at most {MAX_COMMAND_BYTES} bytes; write a script to a file and run that")
    return command


def _environment(environment: dict[str, str]) -> dict[str, str]:
    size = sum(len(name.encode()) + len(value.encode()) for name, value in environment.items())
    if len(environment) > MAX_ENVIRONMENT or size > MAX_ENVIRONMENT_BYTES:
        raise ValueError("is too large: at most 128 variables and 128 KiB in all; use a file")
    if any(not name or "=" in name for name in environment):
        raise ValueError("has a variable without a usable name: give one that is not empty and has no '='")
    return environment


def _at_most(limit: float) -> AfterValidator:
    # A caller who asks for more wants as much as there is: an error would only cost it one more call.
    return AfterValidator(lambda number: min(number, limit))


_Plain = Annotated[str, AfterValidator(_without_nul)]
JSON_OBJECT = _Unpacked = BeforeValidator(unpacked)

Text = Annotated[_Plain, _bounded(MAX_TEXT_BYTES, "give a shorter one")]
Name = Annotated[str, Field(min_length=1), AfterValidator(_without_nul), _bounded(MAX_TEXT_BYTES, "give a shorter one")]
Key = Annotated[str, Field(max_length=200), AfterValidator(_without_nul)]
Count = Annotated[int, Field(gt=0, le=MAX_NUMBER)]
Input = Annotated[str, _bounded(MAX_INPUT_BYTES, "send it in parts")]
Encoded = Annotated[str, _bounded(MAX_INPUT_BYTES * 3 // 2, "send it in parts")]  # base64 of as much, with line breaks
Command = Annotated[str | list[str], BeforeValidator(_unpacked_words), AfterValidator(_command)]
Environment = Annotated[dict[_Plain, _Plain], _Unpacked, AfterValidator(_environment)]
Ports = Annotated[list[Annotated[int, Field(ge=1, le=65535)]], _Unpacked, Field(max_length=32)]
WaitSeconds = Annotated[float, Field(ge=0, allow_inf_nan=False), _at_most(MAX_WAIT_S)]
ReadSeconds = Annotated[float, Field(ge=0, allow_inf_nan=False), _at_most(MAX_READ_WAIT_S)]
LimitSeconds = Annotated[float, Field(ge=0, allow_inf_nan=False, le=MAX_LIMIT_S)]
Offset = Annotated[int, Field(ge=0, le=2**63 - 1)]


def checked(tool: Tool, arguments: Mapping[str, object]) -> dict[str, object]:
    """The arguments as the tool's function takes them. A null counts as left out, as hosts that fill in all mean it.

    Raises:
        InvalidArgumentError: an unknown name, or a value that cannot be used; no value is repeated in the text.
    """
    model = tool.fn_metadata.arg_model
    given = {name: value for name, value in arguments.items() if value is not None and name not in IGNORED}
    unknown = sorted(given.keys() - model.model_fields.keys())
    if unknown:
        raise InvalidArgumentError(f"{tool.name} takes no {_quoted(unknown)}; {_where(model, unknown[0])}")
    try:
        return model.model_validate(given).model_dump_one_level()
    except ValidationError as error:
        count = error.error_count()
        takes = f"{count} values in it cannot be used; it takes {', '.join(model.model_fields)}"
        raise InvalidArgumentError(f"{tool.name}: {_problems(model, error) if count <= MAX_WRONG else takes}") from None


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(one_line(name, 60)) for name in names[:10])


def _where(model: type[BaseModel], name: str) -> str:
    """What there is instead of an unknown name, or the object that has it."""
    for argument, field in model.model_fields.items():
        inner = _object_of(field)
        if inner is not None and name in inner.model_fields:
            return f"{name!r} is one of its `{argument}`"
    return f"it takes {', '.join(model.model_fields)}"


def _problems(model: type[BaseModel], error: ValidationError) -> str:
    """What is wrong, argument by argument, in one line."""
    by_argument: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        path, inner = _path(model, problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        wording = "is missing: give it" if problem["type"] == "missing" else text[:1].lower() + text[1:]
        if problem["type"] == "extra_forbidden":
            wording = f"takes no {_quoted([str(problem['loc'][-1])])}; it takes {', '.join(inner.model_fields)}"
        known = by_argument.setdefault(f"`{path}`", [])
        if wording not in known:
            known.append(wording)
    return one_line("; ".join(f"{name} {' or '.join(texts)}" for name, texts in by_argument.items()), MAX_PROBLEMS)


def _path(model: type[BaseModel], location: Sequence[int | str]) -> tuple[str, type[BaseModel]]:
    """Where a problem is, by our own names: what the caller named (a secret, a file) is not repeated."""
    names: list[str] = []
    inner: type[BaseModel] | None = model
    for part in location:
        if inner is None or part not in inner.model_fields:
            break
        names.append(str(part))
        model, inner = inner, _object_of(inner.model_fields[str(part)])
    return ".".join(names), inner or model


def _object_of(field: FieldInfo) -> type[BaseModel] | None:
    choices = (field.annotation, *get_args(field.annotation))
    return next((each for each in choices if isinstance(each, type) and issubclass(each, BaseModel)), None)
