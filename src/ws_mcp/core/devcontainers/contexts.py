"""Digests of the files that a build copies from its context, and of local features. Blocking.

Links count by where they point to, and are followed only where the engine does: a source that is itself a link, within
the context. `.git` is left out though `COPY . .` copies it: it changes with every look at the repository.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ws_mcp.core.devcontainers.canonical import digest_of
from ws_mcp.core.devcontainers.copied import WHOLE, Source
from ws_mcp.core.devcontainers.definition import shown
from ws_mcp.core.devcontainers.inputs import Inputs, Look, OutsideError
from ws_mcp.core.devcontainers.patterns import IgnoreRules, compiled, docker_rules, has_wildcard, name_pattern

FILES = 2_000  # of a context; reading more would cost more than the answer is worth
BYTES = 32 << 20
DEPTH = 64
TOO_LARGE = f"more than {FILES:,} files or {BYTES >> 20} MiB"

_NOTHING = docker_rules("")
_Found = dict[str, tuple[str, os.stat_result]]  # path in the context: path here, and how it is


class TooLargeError(Exception):
    """More than is compared."""


@dataclass(slots=True)
class Budget:
    """How much may still be read."""

    files: int = FILES
    bytes: int = BYTES

    def spend(self, status: os.stat_result) -> None:
        """Take one file off.

        Raises:
            TooLargeError
        """
        self.files -= 1
        self.bytes -= status.st_size if stat.S_ISREG(status.st_mode) else 0
        if self.files < 0 or self.bytes < 0:
            raise TooLargeError


class Tree:
    """The files below one directory as an engine sees them."""

    def __init__(
        self, root: str, ignore: IgnoreRules, inputs: Inputs, look: Look, excluded: IgnoreRules = _NOTHING
    ) -> None:
        self._root = root
        self._excluded = excluded
        self._real_root = os.path.realpath(root)
        self._ignore = ignore
        self._inputs = inputs
        self._look = look

    def digests(self, source: str, budget: Budget) -> dict[str, str]:
        """By path in the tree, of a source that may have wildcards.

        Raises:
            TooLargeError: nothing is spent of the budget then.
            OutsideError
        """
        left = Budget(budget.files, budget.bytes)
        found: _Found = {}
        paths = self._matching(source) if has_wildcard(source) else [source]
        for path in paths:
            if path == WHOLE or not self._is_ignored(path):
                self._collect(path, found, left, DEPTH)
        for path, status in found.values():
            self._look.saw(path, status, follows=False)
        budget.files, budget.bytes = left.files, left.bytes
        return {path: self._digest(here, status) for path, (here, status) in found.items()}

    def _is_ignored(self, path: str) -> bool:
        return self._ignore.verdict(path) or False

    def _collect(self, path: str, found: _Found, budget: Budget, links: int) -> None:
        """A source: it is followed where it is a link, or leads through one, but not out of the tree."""
        here = posixpath.join(self._root, path)
        try:
            status = os.lstat(here)
        except OSError:
            self._look.saw(here, None, follows=False)
            return
        if stat.S_ISDIR(status.st_mode):
            self._check_inside(here)
            self._walk(path, here, found, budget, DEPTH)
            return
        self._check_inside(posixpath.dirname(here))
        budget.spend(status)
        found[path] = here, status
        if stat.S_ISLNK(status.st_mode) and links:
            target = posixpath.join("/", posixpath.dirname(path), _target(here))
            within = posixpath.normpath(target).lstrip("/")
            if within not in found and not _target(here).startswith("/"):
                self._collect(within, found, budget, links - 1)

    def _check_inside(self, here: str) -> None:
        real = self._inputs.real(here)
        if real != self._real_root and not real.startswith(self._real_root.rstrip("/") + "/"):
            raise OutsideError(here)

    def _walk(self, path: str, here: str, found: _Found, budget: Budget, depth: int) -> None:
        if depth == 0:
            raise TooLargeError
        self._look.paths[here] = False
        for entry in _entries(here):
            below = f"{path}/{entry.name}" if path else entry.name
            is_ignored = self._is_ignored(below)
            if entry.name == ".git" or (is_ignored and not self._ignore.keeps) or self._excluded.verdict(below):
                continue
            if entry.is_dir(follow_symlinks=False):
                self._walk(below, entry.path, found, budget, depth - 1)
            elif not is_ignored:
                self._add(below, entry, found, budget)

    def _add(self, path: str, entry: os.DirEntry[str], found: _Found, budget: Budget) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return  # it is gone again
        if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
            budget.spend(status)
            found[path] = entry.path, status

    def _digest(self, here: str, status: os.stat_result) -> str:
        if stat.S_ISLNK(status.st_mode):
            return digest_of(b"link " + os.fsencode(_target(here)))
        mark = "x" if status.st_mode & 0o111 else "-"
        return mark + self._inputs.digest(here, status)

    def _matching(self, source: str) -> Iterator[str]:
        """Paths that a source with wildcards means; as in Go a wildcard never means a slash."""
        found = [WHOLE]
        for part in source.split("/"):
            if not has_wildcard(part):
                found = [posixpath.join(path, part) for path in found]
                continue
            regex = compiled(name_pattern(part))
            found = [
                below for path in found for below in self._names(path) if regex.fullmatch(posixpath.basename(below))
            ]
        yield from (path for path in found if os.path.lexists(posixpath.join(self._root, path)))

    def _names(self, path: str) -> Iterator[str]:
        here = posixpath.join(self._root, path)
        if Path(here).is_dir():
            self._check_inside(here)
            self._look.paths[here] = False
            yield from (posixpath.join(path, entry.name) for entry in _entries(here))


def context_digests(
    context: str, dockerfile: str, sources: frozenset[Source], inputs: Inputs, look: Look
) -> tuple[dict[str, str], list[str]]:
    """Of all files that the sources bring in, by path as a person names it; and what is not compared, and why.

    `dockerfile`: the one whose own ignore file counts; "" = none has one.
    """
    ignore = _ignore_of(context, dockerfile, inputs, look)
    budget = Budget()
    digests: dict[str, str] = {}
    untracked: list[str] = []
    for each in sorted(sources):
        source, tree = each.path, Tree(context, ignore, inputs, look, _excluded(each))
        name = shown(posixpath.join(context, source), look.folder)
        name = f"the build context {name}" if source == WHOLE else name
        try:
            # What is named one by one is compared, however large the rest is.
            digests |= tree.digests(source, Budget() if source == WHOLE else budget)
        except TooLargeError:
            untracked.append(f"{name} ({TOO_LARGE})")
        except OutsideError:
            untracked.append(f"{name} (it leads out of what may be read)")
    return {shown(posixpath.join(context, path), look.folder): digest for path, digest in digests.items()}, untracked


def feature_digest(directory: str, inputs: Inputs, look: Look) -> str:
    """Of all files of a local feature.

    Raises:
        TooLargeError
        OutsideError
    """
    inputs.check(directory)
    digests = Tree(directory, _NOTHING, inputs, look).digests(WHOLE, Budget())
    return digest_of(repr(sorted(digests.items())))


def _excluded(source: Source) -> IgnoreRules:
    """What is left out of a directory; of what a wildcard means, nothing is known to be."""
    if not source.excludes or has_wildcard(source.path):
        return _NOTHING
    return docker_rules("\n".join(posixpath.join(source.path, exclude.lstrip("/")) for exclude in source.excludes))


def _ignore_of(context: str, dockerfile: str, inputs: Inputs, look: Look) -> IgnoreRules:
    own = (f"{dockerfile}.dockerignore",) if dockerfile else ()
    for path in (*own, posixpath.join(context, ".dockerignore")):
        rules = inputs.made(path, look, _rules)
        if rules is not None:
            return rules
    return _NOTHING


def _rules(text: str, _file: str) -> IgnoreRules:
    return docker_rules(text)


def _target(link: str) -> str:
    try:
        return str(Path(link).readlink())
    except OSError:
        return ""


def _entries(here: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(here) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []
