"""The house's budgets: modules and functions stay small, packages stay empty, the layering names every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

SOURCE = Path(__file__).parents[1] / "src" / "ws_mcp"
MODULE_LINES = 250
FUNCTION_LINES = 40
# Over the budget with a reason: the one door to the engine has a method for each of its calls.
LARGER = {"core/engine/docker.py": 400}
REGISTRIES = ("prompts/__init__.py", "tools/__init__.py", "resources/__init__.py")


def modules() -> Iterator[tuple[str, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), path.read_text()


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring; a signature of many described parameters counts as one."""
    first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    return (node.end_lineno or 0) - first.lineno + 1


def test_no_module_is_over_its_budget() -> None:
    sizes = {name: len(text.splitlines()) for name, text in modules()}
    assert {n: s for n, s in sizes.items() if s > LARGER.get(n, MODULE_LINES)} == {}


def test_the_median_module_has_about_150_lines() -> None:
    sizes = [len(text.splitlines()) for name, text in modules() if not name.endswith("__init__.py")]
    assert 80 <= median(sizes) <= 170


def test_no_function_is_over_its_budget() -> None:
    long = [
        f"{name}:{node.name}"
        for name, text in modules()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and body_lines(node) > FUNCTION_LINES
    ]
    assert long == []


def test_packages_hold_a_docstring_and_nothing_else() -> None:
    for name, text in modules():
        if name.endswith("__init__.py") and name not in (*REGISTRIES, "__init__.py"):
            body = ast.parse(text).body
            assert len(body) == 1, name
            assert ast.get_docstring(ast.parse(text)), name


def test_every_module_says_what_it_owns() -> None:
    assert [name for name, text in modules() if not ast.get_docstring(ast.parse(text))] == []


def test_broad_catches_stand_where_the_house_allows_them() -> None:
    found = {name for name, text in modules() if "except Exception" in text}
    assert found <= {
        "core/devcontainers/kept.py",
        "core/devcontainers/workqueue.py",
        "core/jobs.py",
        "core/repeat.py",
        "edge/errors.py",
        "edge/serve.py",  # around one reading of a file: a bug in it must not end the server
        "edge/tasks.py",  # the rest of a tool call, whose work ends after it
        "edge/tool.py",
        "logs.py",  # around one line of the log: one that cannot be made safe is withheld
    }
