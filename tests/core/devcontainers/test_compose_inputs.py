"""Which edits around compose files put a dev container out of date."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.definition_ground import COMPOSE, CONFIG, DOCKERFILE, Project, composed

from ws_mcp.core.devcontainers.compose_inputs import FILES
from ws_mcp.core.devcontainers.port import UnreadableDefinitionError

Edit = Callable[[Project], object]
ENV = ".devcontainer/.env"
APP_ENV = ".devcontainer/app.env"
EXTRA = ".devcontainer/extra.yml"
CHANGED = (f"{COMPOSE} changed",)


def change(path: str, old: str, new: str) -> Edit:
    return lambda project: project.change(path, old, new)


REFORMATTED = """\
services:
  db: {image: "postgres:16"}
  app:
    env_file: app.env
    environment: {LEVEL: "${LEVEL:-1}"}
    build: {args: {VARIANT: a}, dockerfile: .devcontainer/Dockerfile, context: ".."}
"""
EDITS: dict[str, tuple[Edit, tuple[str, ...]]] = {
    "comment": (change(COMPOSE, "# a remark", "# another"), ()),
    "reformatted, and without its anchor": (lambda project: project.write(COMPOSE, REFORMATTED), ()),
    "touch": (lambda project: os.utime(project.folder / COMPOSE, (2e9, 2e9)), ()),
    "the version, which means nothing": (change(COMPOSE, "services:", "version: '3'\nservices:"), ()),
    "one file as a text": (
        lambda project: (project.set(dockerComposeFile="docker-compose.yml"), project.set(name="x")),
        ("dockerComposeFile changed", f"{EXTRA} removed"),
    ),
    "environment": (change(COMPOSE, "LEVEL:-1", "LEVEL:-3"), CHANGED),
    "second file": (change(EXTRA, "infinity", "1000"), (f"{EXTRA} changed",)),
    "comment in the env file": (change(APP_ENV, "# remark", "\n# other remark"), ()),
    "env file": (change(APP_ENV, "TOKEN=1", "TOKEN=2"), (f"{APP_ENV} changed (used by compose)",)),
    "env file is gone": (lambda project: (project.folder / APP_ENV).unlink(), (f"{APP_ENV} is gone",)),
    ".env": (change(ENV, "LEVEL=2", "LEVEL=3"), (f"{ENV} changed (used by compose)",)),
    "a variable that nothing uses": (change(ENV, "UNUSED=1", "UNUSED=2\nOTHER=1"), ()),
    "instruction of a service": (change(DOCKERFILE, "-y git", "-y curl"), (f"{DOCKERFILE} changed",)),
    "comment in the Dockerfile": (change(DOCKERFILE, "# a remark", "# b"), ()),
    "copied file": (change("src/main.py", "print", "x"), ("src/main.py changed (copied by the Dockerfile)",)),
    "another service": (change(COMPOSE, "postgres:16", "postgres:17"), CHANGED),
    "build argument": (change(COMPOSE, "VARIANT: a", "VARIANT: b"), CHANGED),
    "compose file is gone": (lambda project: (project.folder / EXTRA).unlink(), (f"{EXTRA} is gone",)),
    "service": (lambda project: project.set(service="db"), ("service changed",)),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_puts_a_project_out_of_date_exactly_when_a_recreate_would_change_it(tmp_path: Path, name: str) -> None:
    edit, expected = EDITS[name]
    project = composed(tmp_path)
    before = project.look()
    edit(project)
    assert project.reasons_since(before) == expected


def parts_of(project: Project, compose: str) -> set[str]:
    project.write(CONFIG, {"dockerComposeFile": "../compose.yml", "service": "app"})
    project.write("compose.yml", compose)
    return {part for part in project.look().parts if not part.startswith(("config/", "live/"))}


def test_includes_and_extended_files_count_with_what_they_name(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("more/compose.yml", "services:\n  web: {build: {context: ., dockerfile: $FILE}, env_file: [w.env]}\n")
    project.write("more/.env", "FILE=Web.Dockerfile")
    project.write("more/Web.Dockerfile", "FROM x\nCOPY a b* /\n")
    project.write("more/a", "")
    project.write("more/b1", "")
    project.write(
        "base/base.yml",
        "services:\n  first: {extends: second, label_file: l}\n  second: {build: .}\n  third: {image: x}\n",
    )
    text = """
include: [more/compose.yml, {path: [none.yml], env_file: none.env}, {}]
services: {app: {image: x, extends: {file: base/base.yml, service: first}}}
"""
    assert parts_of(project, text) == {
        "compose/compose.yml", "compose/more/compose.yml", "compose/none.yml", "compose/base/base.yml",
        "env/more/w.env", "env/more/.env", "env/base/l",
        "dockerfile/more/Web.Dockerfile", "ctx/more/a", "ctx/more/b1", "dockerfile/base/Dockerfile",
    }  # fmt: skip
    before = project.look()
    project.change("base/base.yml", "third: {image: x}", "third: {image: y}")
    assert project.reasons_since(before) == ()
    project.change("base/base.yml", "build: .", "build: ./other")
    assert project.reasons_since(before)[-1] == "base/base.yml changed"


def test_files_that_include_each_other_end(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("other.yml", "include: [compose.yml]\nservices: {a: {extends: {file: other.yml, service: a}}}\n")
    assert parts_of(project, "include: [other.yml]\n") == {"compose/compose.yml", "compose/other.yml"}


def test_later_files_change_how_a_service_is_built(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("a.yml", "services: {app: {build: ./app, env_file: [a.env]}}")
    project.write("b.yml", "services: {app: {build: {dockerfile: B, target: dev}, env_file: [{path: b.env}]}}")
    project.write("app/B", "FROM x AS dev\nCOPY --from=x / /\nFROM x\nCOPY y /\n")
    project.write(CONFIG, {"dockerComposeFile": ["../a.yml", "../b.yml"], "service": "app"})
    assert {"dockerfile/app/B", "env/a.env", "env/b.env"} <= set(project.look().parts)
    assert not any(part.startswith("ctx/") for part in project.look().parts)
    assert project.look().images == ("x",)


def test_a_dockerfile_in_the_compose_file_copies_too(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("a.txt", "")
    text = "services: {app: {build: {context: ., dockerfile_inline: 'FROM x\n\n  COPY a.txt /'}}}"
    assert parts_of(project, text) == {"compose/compose.yml", "ctx/a.txt"}


def test_two_services_may_build_one_dockerfile_for_two_targets(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("Dockerfile", "FROM x AS a\nRUN 1\nFROM x AS b\nRUN 2\n")
    text = "services: {app: {build: {context: ., target: a}}, other: {build: {context: ., target: b}}}"
    parts_of(project, text)
    for edit in ("RUN 1", "RUN 2"):
        before = project.look()
        project.change("Dockerfile", edit, f"{edit}x")
        assert project.reasons_since(before) == ("Dockerfile changed",)


def test_without_named_files_compose_takes_its_own(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(CONFIG, {"dockerComposeFile": [], "service": "app"})
    project.write("docker-compose.yml", "services: {app: {image: x}}")
    assert "compose/docker-compose.yml" in project.look().parts
    project.write("docker-compose.override.yml", "services: {app: {image: y}}")
    assert "compose/docker-compose.override.yml" in project.look().parts
    project.write(".env", "COMPOSE_FILE=other.yml")
    assert "compose/other.yml" in project.look().parts


def test_what_cannot_be_compared_is_named(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    parts_of(
        project,
        """
services:
  app: {build: {context: "https://example.org/x.git"}, env_file: /etc/passwd}
  b: {build: {context: "${WHERE}"}}
  c: {build: {context: ., additional_contexts: {x: "git@example.org:y", z: "docker-image://alpine"}}}
""",
    )
    outside, *others = project.look().untracked
    assert outside.endswith("etc/passwd (it leads out of what may be read)")
    assert others == [
        "the build context of service app (it is remote)",
        "${WHERE} (its path depends on who asks)",
        "git@example.org:y (it is remote)",
    ]


def test_files_of_additional_contexts_are_inputs(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.write("Dockerfile", "FROM Base\nCOPY a /\nCOPY --from=Shared lib /\nRUN --mount=from=more,target=/m true\n")
    project.write("Dockerfile.dockerignore", "**/b\n")
    project.write("shared/.dockerignore", "**/skipped\n")
    for path in ("a", "shared/lib/b", "shared/lib/skipped", "shared/other", "more/c"):
        project.write(path, "")
    for form in ("{SHARED: shared, more: ./$NAME}", "[SHARED=shared, 'more=./$NAME']"):
        project.write(".env", "NAME=more")
        text = f"services: {{app: {{build: {{context: ., additional_contexts: {form}}}}}}}"
        assert {part for part in parts_of(project, text) if part.startswith("ctx/")} == {
            "ctx/a", "ctx/shared/lib/b", "ctx/more/c",
        }  # fmt: skip
        before = project.look()
        project.write("shared/lib/b", form)
        project.write("shared/other", form)
        assert project.reasons_since(before) == ("shared/lib/b changed (copied by the Dockerfile)",)


BAD = {
    "services: {app: [": "compose.yml, line ",
    "a: b\n  c: d\n": "compose.yml, line 2, column 4: mapping values are not allowed",
    "- a": "line 1, column 1: it has to be a mapping",
    "a: !!python/object:os.system x": "could not determine a constructor",
    "a: 2026-99-99": "it is not YAML that can be used",
    "a: &a [*a]": "it is not YAML that can be used",
    "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "\n".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefg", "bcdefgh", strict=True)): (
        "larger than it looks"
    ),
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_a_compose_file_that_is_wrong_is_an_error_with_its_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnreadableDefinitionError) as caught:
        parts_of(Project(tmp_path), text)
    assert BAD[text] in str(caught.value)


def test_tags_of_compose_are_understood(tmp_path: Path) -> None:
    project = Project(tmp_path)
    text = "services: {app: {image: x, env_file: !override [a.env], ports: !reset [], environment: !override {A: 1}}}"
    assert parts_of(project, text) == {"compose/compose.yml", "env/a.env"}


def test_more_compose_files_than_anybody_writes_are_not_read(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for number in range(FILES + 2):
        project.write(f"{number}.yml", f"include: [{number + 1}.yml]\n")
    parts = parts_of(project, "include: [0.yml]\n")
    assert len(parts) == FILES + 1
    assert project.look().untracked == (f"{FILES}.yml (more than {FILES} compose files)",)


def test_compose_files_that_lead_out_or_depend_on_who_asks_are_named(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_text("services: {}")
    for name in ("docker-compose.override.yml", "a.yml"):
        project.write("x", "")
        (project.folder / name).symlink_to(outside / "x")
    project.write(CONFIG, {"dockerComposeFile": ["../a.yml", "${localEnv:X}.yml", "../../outside/x"], "service": "a"})
    assert project.look().untracked == (
        "a compose file (its path depends on who asks)",
        "a.yml (it leads out of what may be read)",
        "../outside/x (it leads out of what may be read)",
    )
    project.write(CONFIG, {"dockerComposeFile": [], "service": "a"})
    project.write("docker-compose.yml", "services: {a: {image: '${X}'}}")
    assert project.look().untracked == ("docker-compose.override.yml (it leads out of what may be read)",)
    assert project.look().images == ()


def test_variables_from_outside_of_the_roots_are_not_read(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    (tmp_path / ".env").write_text("X=1")
    project.write(CONFIG, {"dockerComposeFile": "../compose.yml", "service": "a"})
    project.write("compose.yml", "include: [{path: more.yml, project_directory: .., env_file: [.env]}]\n")
    project.write("more.yml", "services: {a: {image: 'a:$X'}}")
    assert project.look().untracked == ("../.env (it leads out of what may be read)",)


def test_a_file_that_is_named_and_extended_counts_once_for_each(tmp_path: Path) -> None:
    project = Project(tmp_path)
    text = "services: {a: {extends: {file: ./compose.yml, service: b}}, b: {environment: !x {A: !y [1], B: !z 2}}}"
    assert parts_of(project, text) == {"compose/compose.yml"}
