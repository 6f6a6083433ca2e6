"""Edits of the files of a dev container, and what they really come to: facets of a container, before and after.

A facet is read from what the engine says of a container or from a file in it, never from what the product says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from support.dev_projects import Project
from support.peers import Json

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
