"""What is put into a workspace before it starts: configuration, a home directory, secrets; read and fingerprinted."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio.to_thread

from ws_mcp.core.engine.model import Container
from ws_mcp.core.engine.port import Engine
from ws_mcp.core.entries import CONFIG_LIMITS, HOME_LIMITS, FileEntry, TreeLimits
from ws_mcp.core.errors import ConflictError, EngineNotFoundError, InvalidArgumentError
from ws_mcp.core.host.tree import read_tree
from ws_mcp.core.workspaces.files import (
    archive_of,
    check_files,
    check_path,
    fingerprint,
    merged,
    name_below,
    with_unix_lines,
)
from ws_mcp.core.workspaces.model import CONFIGS, WorkspaceSpec
from ws_mcp.core.workspaces.owner import Account
from ws_mcp.core.workspaces.recipe import Digests, Recipe, secrets_digest
from ws_mcp.core.workspaces.rules import WorkspaceRules, named

ARCHIVE_BYTES = 16 * 1024 * 1024  # of what is read back from /configs: twice what may be put there


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a wish brings, and what was there before. `files` is None when those that are there stay."""

    digests: Digests
    template: tuple[FileEntry, ...] = ()
    files: tuple[FileEntry, ...] | None = None
    kept_names: tuple[str, ...] = ()  # files that are there already
    home: tuple[FileEntry, ...] = ()
    secrets: Mapping[str, str] | None = field(default=None, repr=False)


async def contents_of(spec: WorkspaceSpec, recorded: Recipe | None, rules: WorkspaceRules, key: bytes) -> Contents:
    """Read what the wish names, and again what the workspace was made with: a change of that is a reason, too.

    Raises:
        InvalidArgumentError: a name, a file or a tree cannot be used.
    """
    wish, old = spec.content, recorded or Recipe()
    template_name = old.template if wish.template is None else wish.template
    home_name = old.home if wish.home is None else wish.home
    template = with_unix_lines(await _tree("template", template_name, rules.templates, CONFIG_LIMITS))
    home = await _tree("home", home_name, rules.homes, HOME_LIMITS)
    files = None if wish.files is None else _files(wish.files)
    check_files(merged(template, files or ()), CONFIG_LIMITS)
    for path in wish.required:
        check_path(path)
    return Contents(
        digests=Digests(
            template=fingerprint(template),
            files=None if files is None else fingerprint(files),
            home=fingerprint(home),
            secrets=None if wish.secrets is None else secrets_digest(key, wish.secrets),
        ),
        template=template,
        files=files,
        kept_names=old.file_names if files is None else (),
        home=home,
        secrets=wish.secrets,
    )


def check_required(required: Iterable[str], contents: Contents) -> None:
    """That every file that a workspace cannot do without is there, before anything starts.

    Raises:
        InvalidArgumentError
    """
    there = {entry.path for entry in merged(contents.template, contents.files or ())} | {*contents.kept_names}
    missing = sorted(set(required) - there)
    if missing:
        has = f"they have {', '.join(sorted(there)[:10])}" if there else "there are none"
        raise InvalidArgumentError(
            f"required file{'s' if len(missing) > 1 else ''} {', '.join(map(repr, missing))} of {CONFIGS}: neither the "
            f"template nor `files` nor the workspace has it ({has}); nothing was started. Give it in `files`"
        )


async def configs_archive(contents: Contents, engine: Engine, found: Container | None) -> bytes:
    """The whole content of /configs, for `fill_volume`. Files that nobody gave again are read from the container.

    Raises:
        ConflictError: they cannot be read any more.
    """
    files = contents.files
    if files is None:
        files = await _carried(contents.kept_names, engine, found)
    entries = merged(contents.template, files)
    return await anyio.to_thread.run_sync(archive_of, entries)


async def home_archive(contents: Contents, account: Account, home: str) -> bytes:
    """The home directory's tree, for unpacking at the root of a container that never ran."""
    work = partial(archive_of, contents.home, below=home.strip("/"), uid=account.uid, gid=account.gid)
    return await anyio.to_thread.run_sync(work)


async def _tree(kind: str, name: str, known: Mapping[str, Path], limits: TreeLimits) -> tuple[FileEntry, ...]:
    if not name:
        return ()
    return await anyio.to_thread.run_sync(read_tree, named(kind, name, known), limits, f"{kind} {name!r}")


def _files(files: Mapping[str, str]) -> tuple[FileEntry, ...]:
    try:
        return tuple(FileEntry(path=path, content=text.encode()) for path, text in files.items())
    except UnicodeEncodeError as error:
        raise InvalidArgumentError("files: a text is not Unicode (half a character); write it again") from error


async def _carried(names: tuple[str, ...], engine: Engine, found: Container | None) -> tuple[FileEntry, ...]:
    if not names:
        return ()
    gone = ConflictError(f"the files of {CONFIGS} cannot be read from the workspace any more; give `files` again")
    if found is None:
        raise gone
    try:
        archive = await engine.get_archive(found.id, CONFIGS, ARCHIVE_BYTES)
    except EngineNotFoundError as error:
        raise gone from error
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = {name_below(member.name): member for member in tar if member.isreg()}
        if not members.keys() >= set(names):
            raise gone
        read = {name: tar.extractfile(members[name]) for name in names}
        return tuple(FileEntry(path=name, content=file.read()) for name, file in read.items() if file is not None)
