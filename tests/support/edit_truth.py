"""Edits of the files of a dev container, and what they really come to: facets of a container, before and after.

A facet is read from what the engine says of a container or from a file in it, never from what the product says.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from support.dev_projects import CONFIG, Project, container_of, listed, recreate, texts_of
from support.peers import Json, Peer
from ws_mcp.core.devcontainers.jsonc import object_of

Facets = dict[str, object]


def same(text: str) -> str:
    """Saved, with nothing changed."""
    return text


def instead(old: str, new: str) -> Callable[[str], str]:
    """Text in place of other text, which has to be there."""

    def change(text: str) -> str:
        assert old in text, f"{old!r} is not in {text!r}"
        return text.replace(old, new, 1)

    return change


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change of one file, or what `act` does and `undo` undoes.

    `reason`: what a verdict has to say, "" where nothing changes in a container; `facet`: what then changes there.
    """

    path: str
    change: Callable[[str], str] = same
    reason: str = ""
    facet: str = ""
    act: Callable[[Project], None] | None = None
    undo: Callable[[Project], None] | None = None

    def do(self, project: Project) -> Callable[[], None]:
        """Make it; returns what takes it back."""
        if self.act is not None and self.undo is not None:
            self.act(project)
            undo = self.undo
            return lambda: undo(project)
        file = project.folder / self.path
        before = file.read_text() if file.exists() else None
        project.write(self.path, self.change(before or ""))

        def take_back() -> None:
            if before is None:
                file.unlink()
            else:
                file.write_text(before)

        return take_back


def facets_of(project: Project, container: str) -> Facets:
    """Everything of a container that one of the edits can change."""
    found = project.inspected(container)
    config, host = cast("Json", found["Config"]), cast("Json", found["HostConfig"])
    environment = dict(entry.split("=", 1) for entry in cast("list[str]", config["Env"]))
    mounts = cast("list[Json]", found["Mounts"])
    look = 'for f in /truth/*; do if [ -f "$f" ]; then echo "file ${f#/truth/}=$(tr "\\n" " " < "$f")"; fi; done'
    files = project.instance.docker("exec", container, "sh", "-c", look).splitlines()
    return {
        **{f"env {name}": value for name, value in environment.items()},
        **{f"mount {mount['Destination']}": mount["Type"] for mount in mounts},
        **{f"host {name}": host.get(name) for name in ("Init", "ShmSize", "CapDrop", "Privileged", "PortBindings")},
        "user": config["User"],
        **dict(line.split("=", 1) for line in files),
    }


def changed(then: Facets, now: Facets) -> set[str]:
    """The facets that came, went or are others."""
    return {name for name in {*then, *now} if then.get(name) != now.get(name)}


def set_in(**properties: object) -> Edit:
    """A property of the definition that has no effect on a container."""
    return Edit(path=CONFIG, change=lambda text: json.dumps({**object_of(text, CONFIG), **properties}))


def counted(name: str, value: object, facet: str, reason: str = "") -> Edit:
    """A property of the definition that a container is made from."""
    edit = set_in(**{name: value})
    return Edit(path=CONFIG, change=edit.change, reason=reason or f"{name} added", facet=facet)


def commented(text: str) -> str:
    """The same definition as a person would write it."""
    members = ",\n".join(f"  /* why */ {json.dumps(k)}: {json.dumps(v)}" for k, v in reversed(json.loads(text).items()))
    return f"// The dev container\n{{\n{members}, }}\n"


async def check_verdicts(peer: Peer, project: Project, edits: tuple[Edit, ...]) -> None:
    """That each alone is judged as it should be, and that taken back it was never there."""
    wrong: list[str] = []
    for edit in edits:
        undo = edit.do(project)
        found = await listed(peer, project.name)
        reasons = texts_of(found, "reasons")
        wanted = [edit.reason] if edit.reason else []
        is_right = len(reasons) == len(wanted) and all(r.startswith(w) for r, w in zip(reasons, wanted, strict=True))
        if not is_right or found["dirty"] != ("dirty" if wanted else "clean"):
            wrong.append(f"{edit.path} {edit.facet}: {found['dirty']} {reasons}, wanted {wanted}")
        undo()
    assert wrong == []
    assert (await listed(peer, project.name))["dirty"] == "clean"


async def check_truth(peer: Peer, project: Project, harmless: tuple[Edit, ...], counts: tuple[Edit, ...]) -> None:
    """That those that are judged harmless change nothing in a container, and of the others each what it should."""
    made = container_of(await recreate(peer, name=project.name))
    await check_verdicts(peer, project, (*harmless, *counts))
    first = facets_of(project, made)
    for edit in harmless:
        edit.do(project)
    assert (await listed(peer, project.name))["dirty"] == "clean"
    again = container_of(await recreate(peer, name=project.name, force=True))
    assert again != made
    second = facets_of(project, again)
    assert changed(first, second) == set()
    for edit in counts:
        edit.do(project)
    answer = await recreate(peer, name=project.name)
    assert len(texts_of(answer, "reasons")) == len({edit.reason for edit in counts})
    assert changed(second, facets_of(project, container_of(answer))) == {edit.facet for edit in counts}
