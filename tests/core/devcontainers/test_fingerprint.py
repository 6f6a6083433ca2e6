"""Which edits put a dev container out of date, and in which words: real files, as an editor leaves them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.definition_ground import (
    BUILT,
    BUILT_DOCKERFILE,
    CONFIG,
    DOCKERFILE,
    Project,
    built,
)

from ws_mcp.core.devcontainers.contexts import FILES
from ws_mcp.core.devcontainers.port import DefinitionMissingError, UnreadableDefinitionError

Edit = Callable[[Project], object]
DOCKER = "(copied by the Dockerfile)"


def touch(path: str) -> Edit:
    return lambda project: os.utime(project.folder / path, (2_000_000_000, 2_000_000_000))


def set_to(**properties: object) -> Edit:
    return lambda project: project.set(**properties)


def write(path: str, content: str) -> Edit:
    return lambda project: project.write(path, content)


def change(path: str, old: str, new: str) -> Edit:
    return lambda project: project.change(path, old, new)


def undone(project: Project) -> None:
    project.set(containerEnv={"A": "2"})
    project.look()
    project.set(containerEnv={"A": "1"})


def replaced_whole(project: Project) -> None:
    for path in (CONFIG, DOCKERFILE):
        text = (project.folder / path).read_text()
        (project.folder / path).unlink()
        project.write(path, text)


COMMENTED = '// why\n{"build": {"args": {"VARIANT": "a"}, /* here */ "context": "..", "dockerfile": "Dockerfile",},'
EDITS: dict[str, tuple[Edit, tuple[str, ...]]] = {
    "touch of the definition": (touch(CONFIG), ()),
    "saved unchanged": (set_to(), ()),
    "checked out and back": (replaced_whole, ()),
    "edited and undone": (undone, ()),
    "reformatted": (write(CONFIG, json.dumps(BUILT)), ()),
    "other order of keys": (write(CONFIG, json.dumps(dict(reversed(BUILT.items())))), ()),
    "comments and trailing commas": (
        write(CONFIG, f"{COMMENTED} {json.dumps({k: v for k, v in BUILT.items() if k != 'build'})[1:-1]} , }}"),
        (),
    ),
    "old names": (
        set_to(build={"args": {"VARIANT": "a"}}, dockerFile="Dockerfile", context=".."),
        (),
    ),
    "name": (set_to(name="other"), ()),
    "remoteEnv": (set_to(remoteEnv={"R": "2"}), ()),
    "remoteUser": (set_to(remoteUser="dev"), ()),
    "customizations": (set_to(customizations={"vscode": {}}), ()),
    "forwardPorts": (set_to(forwardPorts=[80]), ()),
    "postAttachCommand": (set_to(postAttachCommand="date"), ()),
    "initializeCommand": (set_to(initializeCommand="date"), ()),
    "more memory than before": (set_to(hostRequirements={"memory": "4gb"}), ()),
    "an empty list": (set_to(mounts=[]), ()),
    "cacheFrom": (
        set_to(build={"dockerfile": "Dockerfile", "context": "..", "args": {"VARIANT": "a"}, "cacheFrom": "x"}),
        (),
    ),
    "comment in the Dockerfile": (change(DOCKERFILE, "# a remark", "# another\n\n# remark"), ()),
    "indent in the Dockerfile": (change(DOCKERFILE, "    &&", "  # why\n\n\t&&"), ()),
    "lines end as on Windows": (write(DOCKERFILE, BUILT_DOCKERFILE.replace("\n", "\r\n")), ()),
    "touch of the Dockerfile": (touch(DOCKERFILE), ()),
    "touch of a copied file": (touch("requirements.txt"), ()),
    "a file beside": (write("README.md", "new"), ()),
    "a new file beside": (write("other.txt", "new"), ()),
    "containerEnv": (set_to(containerEnv={"A": "2"}), ("containerEnv changed",)),
    "containerEnv taken away": (set_to(containerEnv=None), ("containerEnv removed",)),
    "mounts": (set_to(mounts=["source=x,target=/x,type=volume"]), ("mounts added",)),
    "postCreateCommand": (set_to(postCreateCommand="false"), ("postCreateCommand changed",)),
    "runArgs": (set_to(runArgs=["--init"]), ("runArgs added",)),
    "a GPU": (set_to(hostRequirements={"gpu": True}), ("hostRequirements.gpu added",)),
    "build argument": (change(CONFIG, '"VARIANT": "a"', '"VARIANT": "b"'), ("build.args changed",)),
    "feature option": (set_to(features={"./tool": {"version": "2"}}), ("options of feature ./tool changed",)),
    "another feature": (
        set_to(features={"./tool": {"version": "1"}, "ghcr.io/a/b:1": {}}),
        ("feature ghcr.io/a/b:1 added",),
    ),
    "install.sh of the feature": (write(".devcontainer/tool/install.sh", "date"), ("feature ./tool changed",)),
    "instruction": (change(DOCKERFILE, "-y git", "-y git curl"), (".devcontainer/Dockerfile changed",)),
    "base image": (change(DOCKERFILE, "debian:12", "debian:13"), (".devcontainer/Dockerfile changed",)),
    "copied file": (write("requirements.txt", "httpx\n"), (f"requirements.txt changed {DOCKER}",)),
    "copied file may be run": (
        lambda project: (project.folder / "requirements.txt").chmod(0o755),
        (f"requirements.txt changed {DOCKER}",),
    ),
    "file in a copied directory": (write("src/main.py", "x"), (f"src/main.py changed {DOCKER}",)),
    "new file in a copied directory": (write("src/b/c.py", "x"), (f"src/b/c.py added {DOCKER}",)),
    "copied file is gone": (
        lambda project: (project.folder / "requirements.txt").unlink(),
        ("requirements.txt is gone, or no longer copied by the Dockerfile",),
    ),
    "Dockerfile is gone": (
        lambda project: (project.folder / DOCKERFILE).unlink(),
        (".devcontainer/Dockerfile is gone",),
    ),
    "two at once, important ones first": (
        lambda project: (project.write("requirements.txt", "x"), project.set(init=True)),
        ("init added", f"requirements.txt changed {DOCKER}"),
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_puts_a_container_out_of_date_exactly_when_a_recreate_would_change_it(
    tmp_path: Path, name: str
) -> None:
    edit, expected = EDITS[name]
    project = built(tmp_path)
    before = project.look()
    edit(project)
    found = project.reasons_since(before)
    assert found[: len(expected)] == expected
    # Without its Dockerfile nothing is copied, either.
    assert len(found) == len(expected) or name == "Dockerfile is gone"


@given(content=st.binary(min_size=1, max_size=64), at=st.integers(0, 63), flip=st.integers(1, 255))
def test_any_byte_of_a_copied_file_counts(content: bytes, at: int, flip: int) -> None:
    with TemporaryDirectory() as folder:
        project = built(Path(folder).resolve())
        project.write("requirements.txt", content)
        before = project.look()
        changed = bytearray(content)
        changed[at % len(content)] ^= flip
        project.write("requirements.txt", bytes(changed))
        assert project.reasons_since(before) == (f"requirements.txt changed {DOCKER}",)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
    max_leaves=8,
)


@given(
    properties=st.dictionaries(st.sampled_from(["containerEnv", "mounts", "runArgs", "name", "x"]), VALUES),
    indent=st.none() | st.integers(0, 4),
)
def test_another_form_of_the_same_definition_is_never_out_of_date(
    properties: dict[str, object], indent: int | None
) -> None:
    with TemporaryDirectory() as folder:
        project = Project(Path(folder).resolve())
        project.write(CONFIG, {"image": "x", **properties})
        before = project.look()
        other = json.dumps(dict(reversed({"image": "x", **properties}.items())), indent=indent, ensure_ascii=False)
        project.write(CONFIG, f"\ufeff/* a */\n{other[:-1]},\n}} // b".encode(errors="surrogatepass"))
        assert project.reasons_since(before) == ()


def dockerfile(project: Project, text: str, **build: object) -> set[str]:
    """The copied files of a Dockerfile with this text."""
    project.write(DOCKERFILE, text)
    project.set(build={"dockerfile": "Dockerfile", "context": "..", **build})
    return {part.removeprefix("ctx/") for part in project.look().parts if part.startswith("ctx/")}


def copying(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write(CONFIG, {"image": "x"})
    project.set(image=None)
    for path in ("a.txt", "b.txt", "sub/c.txt", "sub/deep/d.md", ".hidden", "node_modules/x.js"):
        project.write(path, path)
    return project


def test_a_dockerignore_leaves_out_and_brings_back_in_order(tmp_path: Path) -> None:
    project = copying(tmp_path)
    project.write(".dockerignore", "# remark\n\nnode_modules\n**/*.txt\n!sub/*.txt\n.devcontainer\n.dockerignore\n")
    assert dockerfile(project, "FROM x\nCOPY . .\n") == {"sub/c.txt", "sub/deep/d.md", ".hidden"}
    project.write(".dockerignore", "*\n!a.txt\n")
    assert dockerfile(project, "FROM x\nCOPY . .\n") == {"a.txt"}
    project.write(".devcontainer/Dockerfile.dockerignore", "*\n!b.txt\n")
    assert dockerfile(project, "FROM x\nCOPY . .\n") == {"b.txt"}


EXCLUDED: dict[str, set[str]] = {
    "COPY --exclude=*.txt --exclude=deep sub /": {"sub/e"},
    "COPY --exclude=**/d.md --exclude=!e sub /": {"sub/c.txt", "sub/e"},
    'ARG WHAT=deep\nCOPY --exclude=$WHAT --exclude=$UNKNOWN ["sub", "/"]': {"sub/c.txt", "sub/e"},
    "COPY --exclude=deep sub /a\nCOPY --exclude=*.txt sub /b": {"sub/c.txt", "sub/e", "sub/deep/d.md"},
    # Nothing is known of what these mean, and a change too many is better than one that is missed.
    "COPY --exclude=c.txt su* /": {"sub/c.txt", "sub/e", "sub/deep/d.md"},
    "COPY --parents --exclude=c.txt sub /": {"sub/c.txt", "sub/e", "sub/deep/d.md"},
    "COPY --exclude=a.txt a.txt /": {"a.txt"},
}


@pytest.mark.parametrize("lines", EXCLUDED)
def test_what_a_copy_excludes_is_no_input(tmp_path: Path, lines: str) -> None:
    project = copying(tmp_path)
    project.write("sub/e", "")
    assert dockerfile(project, f"FROM x\n{lines}\n") == EXCLUDED[lines]


def test_what_git_keeps_for_itself_is_no_input(tmp_path: Path) -> None:
    project = copying(tmp_path)
    dockerfile(project, "FROM x\nCOPY . .\n")
    before = project.look()
    project.write(".git/index", "new")
    assert project.reasons_since(before) == ()


def test_only_the_stages_that_are_built_count(tmp_path: Path) -> None:
    project = copying(tmp_path)
    text = "FROM x AS base\nCOPY a.txt /\nFROM base AS dev\nRUN date\nFROM base AS prod\nCOPY . /\n"
    assert dockerfile(project, text, target="dev") == {"a.txt"}
    before = project.look()
    project.change(DOCKERFILE, "COPY . /\n", "COPY . /\nRUN build\n")
    assert project.reasons_since(before) == ()
    project.change(DOCKERFILE, "RUN date", "RUN uptime")
    assert project.reasons_since(before) == (".devcontainer/Dockerfile changed",)


def test_a_context_that_is_too_large_is_named_and_what_is_copied_by_name_is_still_compared(tmp_path: Path) -> None:
    project = copying(tmp_path)
    for number in range(FILES):
        project.write(f"many/{number}", "")
    assert dockerfile(project, "FROM x\nCOPY a.txt /\nCOPY . .\n") == {"a.txt"}
    assert project.look().untracked == ("the build context . (more than 2,000 files or 32 MiB)",)


def test_what_is_copied_twice_is_not_too_large_for_that(tmp_path: Path) -> None:
    project = copying(tmp_path)
    for number in range(FILES * 3 // 4):
        project.write(f"many/{number}", "")
    assert len(dockerfile(project, "FROM x\nCOPY many /\nCOPY . .\n")) > FILES * 3 // 4
    assert project.look().untracked == ()


def test_a_link_counts_by_where_it_points_and_is_not_followed_out_of_the_context(tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_text("1")
    (tmp_path / "project").mkdir()
    project = copying(tmp_path / "project")
    (project.folder / "sub" / "link").symlink_to(outside)
    (project.folder / "way").symlink_to(tmp_path)
    assert "sub/link" in dockerfile(project, "FROM x\nCOPY sub /\n")
    before = project.look()
    outside.write_text("2")
    assert project.reasons_since(before) == ()
    (project.folder / "sub" / "link").unlink()
    (project.folder / "sub" / "link").symlink_to("c.txt")
    assert project.reasons_since(before) == (f"sub/link changed {DOCKER}",)
    assert dockerfile(project, "FROM x\nCOPY way/secret /\n") == set()
    assert project.look().untracked == ("way/secret (it leads out of what may be read)",)


def test_a_source_that_is_a_link_counts_with_what_it_leads_to(tmp_path: Path) -> None:
    project = copying(tmp_path)
    (project.folder / "link").symlink_to("sub/../a.txt")
    assert dockerfile(project, "FROM x\nCOPY link /\n") == {"link", "a.txt"}


def test_a_context_outside_of_the_roots_is_not_read_and_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("1")
    project = copying(tmp_path / "project")
    assert dockerfile(project, "FROM x\nCOPY secret /\n", context="../..") == set()
    assert project.look().untracked == (".devcontainer/Dockerfile (it leads out of what may be read)",)


def test_a_path_that_depends_on_who_asks_is_named(tmp_path: Path) -> None:
    project = copying(tmp_path)
    project.write(CONFIG, {"build": {"dockerfile": "${localEnv:HOME}/Dockerfile"}})
    assert project.look().untracked == ("the Dockerfile (its path depends on who asks)",)
    project.write(CONFIG, {"build": {"dockerfile": "${localWorkspaceFolder}/a.txt"}})
    assert project.look().untracked == ()


def test_the_images_that_it_is_built_on_are_told(tmp_path: Path) -> None:
    project = copying(tmp_path)
    dockerfile(project, "ARG V=12\nFROM debian:$V AS a\nFROM scratch AS b\nFROM a\nCOPY --from=b / /\n")
    assert project.look().images == ("debian:12",)
    project.write(CONFIG, {"image": "python:3"})
    assert project.look().images == ("python:3",)
    project.write(CONFIG, {"image": "python:${localEnv:V}"})
    assert project.look().images == ()


def test_of_a_lock_file_only_the_features_of_the_definition_count(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(CONFIG, {"image": "x", "features": {"ghcr.io/a/b:1": {}}})
    lock = ".devcontainer/devcontainer-lock.json"
    project.write(lock, "")
    before = project.look()
    project.write(lock, {"features": {"ghcr.io/c/d:1": {"resolved": "1"}}})
    assert project.reasons_since(before) == ()
    project.write(lock, {"features": {"ghcr.io/a/b:1": {"resolved": "1", "integrity": "2", "version": "3"}}})
    assert project.reasons_since(before) == ("locked version of feature ghcr.io/a/b:1 added",)


BAD = {
    '{"image": "x", ': "devcontainer.json, line 1, column 16: ",
    '{\n  "image": "x"\n  "name": "y"\n}': "devcontainer.json, line 3, column 3: Expecting ',' delimiter",
    '{"image": "x"} trailing': "line 1, column 16: Extra data",
    "[1]": "line 1, column 1: it has to be one object",
    "": "line 1, column 1: a value is missing",
    '{"image": "x" /* open': "line 1, column 15: ",
    '{"image": NaN}': "it",
    "[" * 100_000: "beyond all measure",
    '{"image": "x", "version": 1e999}': "beyond all measure",
    '{"name": "x"}': "names nothing to make the container from",
    '{"image": "x", "dockerComposeFile": "y", "service": "z"}': "it names image and compose",
    '{"image": 1}': "the image that it names has to be a text",
    '{"dockerComposeFile": [1], "service": "z"}': "a text or a list of them",
    '{"dockerComposeFile": "y"}': 'has to name the "service"',
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_a_definition_that_is_cut_off_or_wrong_is_an_error_with_its_place(tmp_path: Path, text: str) -> None:
    project = Project(tmp_path)
    project.write(CONFIG, text)
    with pytest.raises(UnreadableDefinitionError, match=r"devcontainer\.json") as caught:
        project.look()
    assert BAD[text] in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_what_is_no_text_file_says_so(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(f"{CONFIG}/x", "")
    with pytest.raises(UnreadableDefinitionError, match="it is a directory"):
        project.look()
    other = Project(tmp_path / "other")
    other.write(CONFIG, b'{\n "name": "\xff"}')
    with pytest.raises(UnreadableDefinitionError, match="line 2, column 11: it is not UTF-8"):
        other.look()
    (other.folder / CONFIG).unlink()
    os.mkfifo(other.folder / CONFIG)
    with pytest.raises(UnreadableDefinitionError, match="it is no regular file"):
        other.look()
    (other.folder / CONFIG).unlink()
    (other.folder / CONFIG).symlink_to("devcontainer.json")
    with pytest.raises(UnreadableDefinitionError, match="cannot be read"):
        other.look()


def test_a_definition_that_is_gone_or_elsewhere_is_missing(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    with pytest.raises(DefinitionMissingError, match="does not exist"):
        project.look()
    project.folder.mkdir()
    with pytest.raises(DefinitionMissingError):
        project.look()
    (tmp_path / "secret.json").write_text('{"image": "x"}')
    (project.folder / ".devcontainer").mkdir()
    (project.folder / CONFIG).symlink_to(tmp_path / "secret.json")
    with pytest.raises(DefinitionMissingError):
        project.definition()
