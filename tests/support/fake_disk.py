"""The files of a place as a fake execd serves them; they outlive its boots.

Links, limits and error codes are as in the real one. There are no users and no full disks: `refuse_writes` stands for
them.

Source: execd/PROTOCOL.md, section "Files".
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import replace

import anyio

from support.fake_files import DIRECTORY, Entry, FileTree, inner_path
from support.fake_place import RefusalError, Request, Said

BEGAN_MS = 1_795_000_000_000
MAX_FILE_BYTES = 1 << 20
MAX_LISTED = 10_000
MAX_PATH = 4096
MAX_LINKS = 8
DEVICE = 66305
KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "link",
    tarfile.FIFOTYPE: "pipe",
    tarfile.CHRTYPE: "device",
}


class FakeDisk:
    """A tree of files, by inner path; `root` is a directory in it to begin with."""

    def __init__(self, tree: FileTree | None = None, root: str = "/workspace") -> None:
        self.tree = tree or FileTree()
        self.root = root
        self.tree.add(inner_path(root), DIRECTORY)
        self._refusal = ""
        self._changed_ms: dict[str, int] = {}
        self._inodes: dict[str, int] = {}

    # --- what a test does to it ---

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """A file below the root, and the directories above it; `..` leads out."""
        self.tree.add(self._inner(path), Entry(content=content, mode=mode))

    def make_directory(self, path: str) -> None:
        self.tree.add(self._inner(path), DIRECTORY)

    def make_link(self, path: str, target: str) -> None:
        self.tree.add(self._inner(path), Entry(kind=tarfile.SYMTYPE, mode=0o777, target=target))

    def make_pipe(self, path: str) -> None:
        self.tree.add(self._inner(path), Entry(kind=tarfile.FIFOTYPE))

    def content(self, path: str) -> bytes:
        return self.tree.entries[self._inner(path)].content

    def names(self, path: str) -> list[str]:
        """What is in a directory."""
        return sorted(_below(self.tree, self._inner(path)))

    def refuse_writes(self, code: str) -> None:
        """Answer every write with this error code; "" ends that."""
        self._refusal = code

    # --- what execd does with it ---

    def stat(self, request: Request) -> Said:
        return self._describe(self._found(request))

    def read_file(self, request: Request) -> tuple[Said, bytes]:
        offset, limit = request.get("offset", 0), request.get("limit", MAX_FILE_BYTES)
        if offset < 0 or not 1 <= limit <= MAX_FILE_BYTES:
            raise RefusalError("bad_request", f"offset is at least 0, limit 1 to {MAX_FILE_BYTES}")
        inner = self._found(request)
        self._check_file(inner, request)
        return self._describe(inner), self.tree.entries[inner].content[offset : offset + limit]

    def write_file(self, request: Request, body: bytes) -> Said:
        mode = request.get("mode")
        if len(body) > MAX_FILE_BYTES:
            raise RefusalError(
                "too_large", f"the content has {len(body)} bytes; at most {MAX_FILE_BYTES} can be written"
            )
        if mode is not None and not 0 <= mode <= 0o777:
            raise RefusalError("bad_request", "mode is 0 to 511 (0o777)")
        if request["path"].endswith("/"):
            raise RefusalError("bad_path", f"{request['path']!r} ends with /, so it names no file")
        inner = self._resolved(request, makes_directories=bool(request.get("makes_directories")))
        old = self.tree.entries.get(inner)
        if old is not None:
            self._check_file(inner, request)
        if self._refusal:
            raise RefusalError(self._refusal, f"{request['path']!r}: the test says so")
        entry = replace(old or Entry(), content=body)
        self.tree.entries[inner] = replace(entry, mode=entry.mode if mode is None else mode)
        self._changed_ms[inner] = BEGAN_MS + int(anyio.current_time() * 1000)
        return {"size": len(body)}

    def list_directory(self, request: Request) -> Said:
        limit = request.get("limit", 1000)
        if not 1 <= limit <= MAX_LISTED:
            raise RefusalError("bad_request", f"limit is 1 to {MAX_LISTED}")
        inner = self._found(request)
        if not self.tree.has_directory(inner):
            raise RefusalError("bad_path", f"{request['path']!r}: a part of it is no directory")
        names = sorted(_below(self.tree, inner), key=str.encode)
        return {"entries": [self._listed(inner, name) for name in names[:limit]], "total": len(names)}

    def _listed(self, inner: str, name: str) -> Said:
        said = self._describe(posixpath.join(inner, name))
        return {"name": name} | {key: said[key] for key in ("kind", "size", "mtime_ms")}

    def _describe(self, inner: str) -> Said:
        entry = self.tree.entries[inner]
        said: Said = {"kind": KINDS[entry.kind], "size": len(entry.content or entry.target), "mode": entry.mode}
        said |= {"uid": entry.uid, "gid": entry.gid, "mtime_ms": self._changed_ms.get(inner, BEGAN_MS)}
        return said | {"device": DEVICE, "inode": self._inodes.setdefault(inner, 2 + len(self._inodes))}

    def _check_file(self, inner: str, request: Request) -> None:
        entry = self.tree.entries[inner]
        if entry.kind != tarfile.REGTYPE:
            raise RefusalError("not_a_file", f"{request['path']!r} is no regular file but a {KINDS[entry.kind]}")

    def _found(self, request: Request) -> str:
        inner = self._resolved(request, makes_directories=False)
        if inner not in self.tree.entries:
            raise RefusalError("no_file", f"there is no {request['path']!r}")
        return inner

    def _resolved(self, request: Request, *, makes_directories: bool) -> str:
        """Where the path leads; its last name need not be there."""
        root, path = request["root"], request["path"]
        _check_path(root, path)
        top = inner_path(root)
        if top not in self.tree.entries:
            raise RefusalError("no_file", f"there is no {root!r}")
        walk = _Walk(self.tree, top, path, makes_directories=makes_directories)
        return walk.run()

    def _inner(self, path: str) -> str:
        return inner_path(posixpath.join(self.root, path))


class _Walk:
    """From a root along a path, name by name."""

    def __init__(self, tree: FileTree, top: str, path: str, *, makes_directories: bool) -> None:
        self._tree = tree
        self._at = [top]
        self._rest = path.split("/")
        self._path = path
        self._makes_directories = makes_directories
        self._links = 0

    def run(self) -> str:
        while True:
            self._check_directory()
            if not self._rest:
                return self._at[-1]
            name = self._rest.pop(0)
            if name == "..":
                self._go_up()
            elif name not in ("", "."):
                self._go_down(name)

    def _go_down(self, name: str) -> None:
        inner = posixpath.join(self._at[-1], name)
        entry = self._tree.entries.get(inner)
        if entry is not None and entry.kind == tarfile.SYMTYPE:
            self._links += 1
            if self._links > MAX_LINKS:
                raise RefusalError("bad_path", f"{self._path!r}: too many links, or links in a circle")
            if entry.target.startswith("/"):
                raise self._leads_out()
            self._rest = entry.target.split("/") + self._rest
            return
        if len(name) > 255:
            raise RefusalError("bad_path", f"{self._path!r}: file name too long")
        if entry is None and self._rest:
            if not self._makes_directories:
                raise RefusalError("no_file", f"there is no {self._path!r}")
            self._tree.entries[inner] = DIRECTORY
        self._at.append(inner)

    def _go_up(self) -> None:
        if len(self._at) == 1:
            raise self._leads_out()
        self._at.pop()

    def _check_directory(self) -> None:
        # The top has no name to come, and is a directory all the same.
        if (self._rest or len(self._at) == 1) and not self._tree.has_directory(self._at[-1]):
            raise RefusalError("bad_path", f"{self._path!r}: a part of it is no directory")

    def _leads_out(self) -> RefusalError:
        return RefusalError("bad_path", f"{self._path!r}: a link leads out of the root")


def _check_path(root: str, path: str) -> None:
    if not root.startswith("/") or len(root.encode()) > MAX_PATH or "\0" in root:
        raise RefusalError("bad_path", f"the root {root[:200]!r} is not an absolute path of at most {MAX_PATH} bytes")
    if len(path.encode()) > MAX_PATH or "\0" in path:
        raise RefusalError("bad_path", f"{path[:200]!r}: a path has at most {MAX_PATH} bytes and no NUL byte")
    if path.startswith("/") or ".." in path.split("/"):
        raise RefusalError("bad_path", f"{path[:200]!r} is absolute, or has a part '..'")


def _below(tree: FileTree, inner: str) -> Iterator[str]:
    for name in tree.entries:
        if name and posixpath.dirname(name) == inner:
            yield posixpath.basename(name)
