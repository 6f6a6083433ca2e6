"""What the documents say of settings, tools and modules is what the program says (UPDATE_SNAPSHOTS=1 writes it)."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from annotated_types import Ge, Le
from mcp import Client
from mcp.types import Tool, ToolAnnotations
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ws_mcp.core.workspaces.checks import check_spec
from ws_mcp.core.workspaces.model import WorkspaceKind
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.deadlines import LONGEST_S
from ws_mcp.edge.errors import BUG, CODES, OTHER
from ws_mcp.edge.options import Options, Ready, spec_of
from ws_mcp.edge.tool import ToolSpec
from ws_mcp.policy import tool_specs
from ws_mcp.server import build_server
from ws_mcp.settings import Settings, metavar_of

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "ws_mcp"
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def settings_table() -> Iterable[str]:
    """One row for each setting: flag, variable, default, meaning."""
    yield "| flag | variable | default | what it does |"
    yield "| --- | --- | --- | --- |"
    for name, setting in Settings.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        bounds = " to ".join(f"{bound:,}" for bound in _bounds(setting))
        bounds += " or more" if bounds and " to " not in bounds else ""
        default = "see below" if name == "state" else _shown(setting.default)
        value = metavar_of(setting)
        flag += f" {value.text} ..." if value.is_repeated else ""
        text = f"{setting.description}{f' ({bounds})' if bounds else ''}"
        yield f"| `{flag}` | `WS_MCP_{name.upper()}` | {default} | {text} |"


def _bounds(setting: FieldInfo) -> Iterable[int]:
    for bound in setting.metadata:
        if isinstance(bound, Ge | Le):
            yield int(str(bound.ge if isinstance(bound, Ge) else bound.le))


def _shown(default: object) -> str:
    return {"": "empty", "()": "empty", "{}": "empty", "False": "no", "True": "yes", "None": "none"}.get(
        str(default), f"{default:,}" if isinstance(default, int) else f"`{default}`"
    )


def module_tree() -> Iterable[str]:
    """Every module with the first sentence of its docstring."""
    yield "```"
    for path in sorted(SOURCE.rglob("*.py"), key=lambda path: (path.parent.as_posix(), path.name)):
        if "_execd" in path.parts:
            continue
        words = ast.get_docstring(ast.parse(path.read_text())) or ""
        sentence = re.split(r"(?<=\.)\s", " ".join(words.split()), maxsplit=1)[0].rstrip(".")
        yield f"{path.relative_to(SOURCE).as_posix():<32} {sentence}"
    yield "```"


def tools_page(tools: Iterable[Tool]) -> Iterable[str]:
    """Each tool with its words, arguments and answer, as a client gets them."""
    for tool in tools:
        yield f"## {tool.name}"
        yield ""
        yield f"*{tool.title}.* {', '.join(_annotations(tool)) or 'No annotation is true.'}"
        yield ""
        yield from (tool.description or "").splitlines()
        yield ""
        yield "| argument | type | what it is |"
        yield "| --- | --- | --- |"
        required = set(tool.input_schema.get("required", ()))
        for name, schema in tool.input_schema.get("properties", {}).items():
            mark = ", required" if name in required else ""
            yield f"| `{name}` | {_type(schema)}{mark} | {schema.get('description', '')} |"
        yield ""
        if tool.output_schema is None:
            yield "Answers with text: the output, then one line in brackets with state, bytes shown and next offset."
        else:
            yield "| answer | type | what it is |"
            yield "| --- | --- | --- |"
            definitions = tool.output_schema.get("$defs", {})
            for name, schema in tool.output_schema.get("properties", {}).items():
                yield f"| `{name}` | {_type(schema, definitions)} | {schema.get('description', '')} |"
        yield ""


def tools_table(tools: Iterable[Tool]) -> Iterable[str]:
    """One row for each tool: what it is for, and its annotations."""
    yield "| tool | what it does | |"
    yield "| --- | --- | --- |"
    for tool in tools:
        words = " ".join((tool.description or "").split("\n\n")[0].split())
        yield f"| `{tool.name}` | {words} | {', '.join(_annotations(tool))} |"


def deadlines_table(specs: Iterable[ToolSpec]) -> Iterable[str]:
    """One row for each tool: how long a call of it may take, and what for."""
    yield "| tool | deadline | what is waited for |"
    yield "| --- | --- | --- |"
    for spec in specs:
        deadline, name = spec.deadline, getattr(spec.function, "__name__", "")
        plus = f" and `{deadline.plus}` (default {deadline.plus_s:g}), at most {LONGEST_S:g} s" if deadline.plus else ""
        yield f"| `{name}` | {deadline.seconds:g} s{plus} | {deadline.waits_for} |"


def _annotations(tool: Tool) -> Iterable[str]:
    said = tool.annotations or ToolAnnotations()
    names = {
        "read": said.read_only_hint,
        "destroys": said.destructive_hint,
        "repeatable": said.idempotent_hint,
        "open": said.open_world_hint,
    }
    return [name for name, is_true in names.items() if is_true]


def _type(schema: dict[str, Any], definitions: dict[str, Any] | None = None) -> str:
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(part, definitions) for part in schema["anyOf"])
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2].removesuffix("View").lower()
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), definitions)}"
    return str(schema.get("type", "any"))


def check_block(document: Path, name: str, lines: Iterable[str]) -> None:
    """The part of `document` between `<!-- name -->` and `<!-- /name -->` is `lines`."""
    wanted = "\n".join(lines).strip()
    text = document.read_text()
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    assert found, f"{document.name} has no block {name!r}"
    inside, found, after = rest.partition(end)
    assert found, f"the block {name!r} of {document.name} does not end"
    if os.environ.get("UPDATE_SNAPSHOTS") and inside.strip() != wanted:
        document.write_text(f"{before}{begin}{wanted}\n{end}{after}")
        return
    assert inside.strip() == wanted, f"{document.name} is behind: UPDATE_SNAPSHOTS=1 writes it anew"


def test_the_table_of_settings_is_complete() -> None:
    check_block(ROOT / "docs" / "operations.md", "settings", settings_table())


def test_the_tree_names_every_module() -> None:
    check_block(ROOT / "docs" / "architecture.md", "tree", module_tree())


def test_the_table_of_deadlines_is_complete() -> None:
    check_block(ROOT / "docs" / "operations.md", "deadlines", deadlines_table(tool_specs()))


async def test_the_tools_are_described_as_clients_see_them(real_io: None) -> None:
    server = build_server(cast("Core", None), default_hint=None)
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
    check_block(ROOT / "docs" / "tools.md", "tools", tools_page(tools))
    check_block(ROOT / "README.md", "tools", tools_table(tools))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_document_names_no_machine_and_its_links_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    assert not re.findall(r"/(?:home|root|Users|work)/\w+", text)
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (document.parent / target).exists(), target


def test_every_refusal_of_the_troubleshooting_table_is_really_said() -> None:
    source = " ".join(path.read_text() for path in SOURCE.rglob("*.py"))
    said = re.sub(r'"\s*f?"', "", source).replace("{kind}", "process")
    table = (ROOT / "docs" / "operations.md").read_text().partition("## Troubleshooting")[2]
    rows = [row.split("|")[1].strip() for row in table.splitlines() if row.startswith("| ") and "---" not in row]
    assert len(rows) > 20
    for row in rows[1:]:
        for part in re.split(r"\.\.\.| / |\(doctor\)", row):
            assert part.strip() in said, f"nobody says {part.strip()!r} of {row!r}"


def documented_options(name: str) -> Iterable[tuple[str, str, str]]:
    """Each row of a table of workspaces.md: its key, its default, its example."""
    text = (ROOT / "docs" / "workspaces.md").read_text()
    table = text.partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0]
    for row in table.strip().splitlines()[2:]:
        key, _, default, _, example = (cell.strip() for cell in row.strip("|").split("|"))
        yield key.strip("`"), default, example.strip("`")


@pytest.mark.parametrize(("table", "model"), [("options", Options), ("ready", Ready)])
def test_every_option_of_a_workspace_is_documented_and_nothing_else(table: str, model: type[BaseModel]) -> None:
    keys = [key for key, _, _ in documented_options(table)]
    assert sorted(keys) == sorted(model.model_fields)


@pytest.mark.parametrize(("table", "model"), [("options", Options), ("ready", Ready)])
def test_documented_defaults_are_those_of_the_program(table: str, model: type[BaseModel]) -> None:
    for key, said, _ in documented_options(table):
        default = model.model_fields[key].default
        if default not in (None, "", []):
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            assert said.strip("`").lower() == shown.lower(), key


@pytest.mark.parametrize("table", ["options", "ready"])
def test_each_example_of_an_option_is_a_call_that_is_taken(table: str) -> None:
    for key, _, example in documented_options(table):
        call = json.loads(example)
        options = Options.model_validate(call.pop("options"))
        given = options.ready if table == "ready" else options
        assert given is not None
        assert key in given.model_fields_set, f"the example of {key} does not use it"
        assert call.keys() <= {"name", "image", "ports"}
        spec = spec_of(
            options,
            name=call.get("name", "main"),
            kind=WorkspaceKind.CONTAINER,
            image=call.get("image", ""),
            tier=None,
            env=None,
            ports=call.get("ports"),
            volume=None,
            rules=WorkspaceRules(runtimes={"python": "python:3.13"}),
        )
        check_spec(spec)


def json_of(document: Path) -> Iterable[dict[str, Any]]:
    """Every JSON object of its code blocks, of which one may have several."""
    decoder = json.JSONDecoder()
    for block in re.findall(r"```json\n(.*?)```", document.read_text(), re.DOTALL):
        text = block.strip()
        while text:
            found, end = decoder.raw_decode(text)
            yield found
            text = text[end:].strip()


@pytest.mark.parametrize("document", ["README.md", "docs/workspaces.md"])
def test_every_call_that_a_document_shows_has_options_that_are_taken(document: str) -> None:
    shown = list(json_of(ROOT / document))
    calls = [each["options"] for each in shown if "options" in each]
    assert calls
    for options in calls:
        Options.model_validate(options)


def test_each_code_of_a_failure_is_told_to_who_writes_programs() -> None:
    told = set(re.findall(r"`([a-z_]+)`", (ROOT / "docs" / "hosts.md").read_text().partition("## For programs")[2]))
    assert told - {"_meta"} == {*CODES.values(), BUG, OTHER}
