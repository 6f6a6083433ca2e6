"""What the tool for files answers, but for their content."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from ws_mcp.core.errors import one_line
from ws_mcp.core.workspaces.model import DirectoryListing, FileSlice
from ws_mcp.edge.views import View

NAMES_CHARACTERS = 30_000  # of a directory's names in one answer: hosts show 40,000
ENTRY_CHARACTERS = 60  # what stands around each


class WrittenView(View):
    """A file that was written, whole."""

    path: Annotated[str, Field(description="Where it is in the workspace")]
    size: Annotated[int, Field(description="Bytes that it has now")]

    @classmethod
    def of(cls, written: FileSlice) -> Self:
        return cls(path=written.path, size=written.size)


class EntryView(View):
    """A name in a directory."""

    name: Annotated[str, Field(description="Its name")]
    kind: Annotated[str, Field(description="file, directory, link or other")] = "file"
    size: Annotated[int, Field(description="Bytes of a file")] = 0


class DirectoryView(View):
    """A directory of a workspace."""

    path: Annotated[str, Field(description="Where it is in the workspace")]
    total: Annotated[int, Field(description="How many names it has, also those that are not shown")]
    entries: Annotated[tuple[EntryView, ...], Field(description="Its names, sorted")] = ()

    @classmethod
    def of(cls, listing: DirectoryListing) -> Self:
        entries: list[EntryView] = []
        left = NAMES_CHARACTERS
        for entry in listing.entries:
            name = one_line(entry.name)
            left -= len(name.encode()) + ENTRY_CHARACTERS
            if left < 0:
                break
            size = entry.size if entry.kind == "file" else 0
            entries.append(EntryView(name=name, kind=entry.kind, size=size))
        return cls(path=listing.path, total=listing.total, entries=tuple(entries))
