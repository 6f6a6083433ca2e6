"""Finds definitions below a directory, in three places of each folder; what git ignores is left out. Blocking.

No link is followed, other repositories' rules end at their `.git`, and the walk ends at a budget, which is said.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ws_mcp.core.devcontainers.model import Key
from ws_mcp.core.devcontainers.patterns import IgnoreRules, git_rules

log = logging.getLogger(__name__)

ENTRIES = 500_000  # of all directories; about a second
DEPTH = 16
RULE_BYTES = 256 << 10
DIRECTORY = ".devcontainer"
FILE = ".devcontainer.json"
NAMED = "devcontainer.json"
# Of tools and of dependencies, whose definitions are not meant for who works here.
PRUNED = frozenset(
    {
        ".git", ".hg", ".svn", "node_modules", "bower_components", ".venv", "venv", "site-packages", "__pycache__",
        ".tox", ".nox", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".cache", ".cargo", ".rustup", ".gradle",
        ".terraform", ".npm", ".pnpm-store",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules of one file, and the length of the path that they are relative to, with its slash."""

    rules: IgnoreRules
    skip: int


_Chain = tuple[_Rules, ...]  # later ones win


class Walk:
    """One walk below a root."""

    def __init__(self, root: str, home: str, closed: Collection[str] = (), entries: int = ENTRIES) -> None:
        self._root = root
        self._closed = closed
        self._everywhere = _everywhere(home)
        self._entries_at_most = self._left = entries

    def find(self) -> Iterator[Key]:
        """Each definition."""
        waiting: list[tuple[str, _Chain, int]] = [(self._root, self._above(), DEPTH)]
        while waiting:
            directory, chain, depth = waiting.pop()
            names, files = self._entries(directory)
            if self._left < 0:
                log.warning("the search for dev containers ended after %d entries", self._entries_at_most)
                return
            chain = self._chain(directory, chain, names, files)
            if FILE in files and not _is_ignored(f"{directory}/{FILE}", chain):
                yield Key(folder=directory, config=f"{directory}/{FILE}")
            for name in names:
                path = f"{directory.rstrip('/')}/{name}"
                if name in PRUNED or path in self._closed or _is_ignored(f"{path}/", chain):
                    continue
                if name == DIRECTORY:
                    yield from self._configured(directory, path, chain)
                elif depth:
                    waiting.append((path, chain, depth - 1))

    def _above(self) -> _Chain:
        """The rules for a root that is a part of a repository, and not one that the repository leaves out."""
        own: _Chain = (_Rules(self._everywhere, len(self._root.rstrip("/")) + 1),)
        above = [str(path) for path in Path(self._root).parents]
        top = next((at for at, path in enumerate(above) if os.path.lexists(f"{path}/.git")), -1)
        chain = own
        for path in reversed(above[: top + 1]):
            chain = self._chain(path, chain, (".git",) if path == above[top] else (), (".gitignore",))
            below = self._root if path == above[0] else above[above.index(path) - 1]
            if _is_ignored(f"{below}/", chain):
                return own
        return chain

    def _configured(self, folder: str, directory: str, chain: _Chain) -> Iterator[Key]:
        """In `.devcontainer`, and exactly one level deeper."""
        names, files = self._entries(directory)
        chain = self._chain(directory, chain, (), files)
        if NAMED in files and not _is_ignored(f"{directory}/{NAMED}", chain):
            yield Key(folder=folder, config=f"{directory}/{NAMED}")
        for name in names:
            path = f"{directory}/{name}"
            if not _is_ignored(f"{path}/", chain) and NAMED in self._entries(path)[1]:
                config = f"{path}/{NAMED}"
                if not _is_ignored(config, chain):
                    yield Key(folder=folder, config=config)

    def _entries(self, directory: str) -> tuple[list[str], set[str]]:
        """Directories, and of the files those that matter here."""
        names: list[str] = []
        files: set[str] = set()
        with suppress(OSError), os.scandir(directory) as found:
            for entry in found:
                self._left -= 1
                if self._left < 0:
                    break
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    names.append(name)
                elif name in _MATTER and entry.is_file(follow_symlinks=False):
                    files.add(name)
        return names, files

    def _chain(self, directory: str, chain: _Chain, names: Collection[str], files: Collection[str]) -> _Chain:
        """The rules that hold in a directory: a repository begins with its own."""
        skip = len(directory.rstrip("/")) + 1
        if ".git" in names or ".git" in files:
            exclude = _rules_of(f"{directory}/.git/info/exclude")
            chain = (_Rules(self._everywhere, skip), *((_Rules(exclude, skip),) if exclude else ()))
        own = _rules_of(f"{directory}/.gitignore") if ".gitignore" in files else None
        return (*chain, _Rules(own, skip)) if own else chain


_MATTER = frozenset({FILE, NAMED, ".gitignore", ".git"})


def _is_ignored(path: str, chain: _Chain) -> bool:
    for rules in reversed(chain):
        verdict = rules.rules.verdict(path[rules.skip :])
        if verdict is not None:
            return verdict
    return False


def _rules_of(path: str) -> IgnoreRules | None:
    text = _text(path)
    return git_rules(text) if text else None


def _text(path: str) -> str:
    with suppress(OSError):
        if Path(path).is_file() and Path(path).stat().st_size <= RULE_BYTES:
            return Path(path).read_text(encoding="utf-8", errors="replace")
    return ""


def _everywhere(home: str) -> IgnoreRules:
    """The person's own rules. Source: git-config(1), core.excludesFile; included files are not read."""
    default = f"{home}/.config/git/ignore"
    for config in (f"{home}/.gitconfig", f"{home}/.config/git/config"):
        for section in re.split(r"^\s*(?=\[)", _text(config), flags=re.MULTILINE):
            if section.lower().startswith("[core]") and (found := _EXCLUDES.search(section)):
                path = found[1].strip().strip('"')
                return git_rules(_text(f"{home}/{path[2:]}" if path.startswith("~/") else path))
    return git_rules(_text(default))


_EXCLUDES = re.compile(r"^\s*excludesfile\s*=\s*(.+)$", re.IGNORECASE | re.MULTILINE)
