"""Files for a workspace: which names they may have, their fingerprint, and their archive (pure).

The archive is our own: only files and directories, plain modes, one owner, no times. Nothing of what a tar can also say
(links, devices, set-user-id, compression) can get into it, because there is no code that writes it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ws_mcp.core.entries import MIB, FileEntry, TreeLimits
from ws_mcp.core.errors import InvalidArgumentError

PART_BYTES = 255  # what file systems take
PATH_BYTES = 1024  # what macOS takes, the least of those we know
PARTS = 16
BLOCK = 512
UNIX_TEXTS = (".sh", ".py", ".md")
NUMBER = 0o7777777  # of a user: as many digits as the header has room for
# Text that is shown in another order than it is written in misleads who reads a list of files.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNUSABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def check_path(path: str, *, most_parts: int = PARTS) -> None:
    """Whether a file of a workspace can have this relative path.

    Raises:
        InvalidArgumentError
    """
    why = _why_not(path, most_parts)
    if why:
        raise InvalidArgumentError(f"file name {_shown(path)!r} cannot be used: {why}")


def check_files(entries: Sequence[FileEntry], limits: TreeLimits) -> None:
    """Whether these files can stand beside each other, and are not too many.

    Raises:
        InvalidArgumentError
    """
    if len(entries) > limits.files:
        raise InvalidArgumentError(f"{len(entries)} files are too many: at most {limits.files}; build an image of them")
    for entry in entries:
        if len(entry.content) > limits.file_bytes:
            check_path(entry.path)
            most = f"{limits.file_bytes // MIB} MiB"
            raise InvalidArgumentError(
                f"file {_shown(entry.path)!r} is too large: at most {most}; put it into the image"
            )
    if sum(len(entry.content) for entry in entries) > limits.total_bytes:
        raise InvalidArgumentError(f"the files are too large: at most {limits.total_bytes // MIB} MiB in all")
    check_names(entries)


def check_names(entries: Iterable[FileEntry]) -> None:
    """Each path, and that no two are one and the same on a file system that folds case or composes characters.

    Raises:
        InvalidArgumentError
    """
    files: dict[str, str] = {}
    directories: dict[str, str] = {}
    for entry in entries:
        check_path(entry.path)
        key = folded(entry.path)
        if key in files:
            raise _same(entry.path, files[key])
        files[key] = entry.path
        for directory in _above(entry.path):
            if (other := directories.setdefault(folded(directory), directory)) != directory:
                raise _same(directory, other)
    for key in files.keys() & directories.keys():
        raise InvalidArgumentError(
            f"{_shown(files[key])!r} is a file and, as {_shown(directories[key])!r}, a directory; rename one"
        )


def folded(path: str) -> str:
    """One text for all spellings that some file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


def with_unix_lines(entries: Iterable[FileEntry]) -> tuple[FileEntry, ...]:
    """Scripts and pages as a checkout on Windows has them would not run: their lines end with a line feed alone."""
    return tuple(
        replace(entry, content=entry.content.replace(b"\r\n", b"\n")) if entry.path.endswith(UNIX_TEXTS) else entry
        for entry in entries
    )


def merged(*layers: Iterable[FileEntry]) -> tuple[FileEntry, ...]:
    """The files of all layers, sorted; of two with the very same path the later layer's."""
    by_path = {entry.path: entry for layer in layers for entry in layer}
    return tuple(by_path[path] for path in sorted(by_path))


def fingerprint(entries: Iterable[FileEntry]) -> str:
    """Changes whenever a name, an executable bit or a content does; "" for no files.

    Each content is preceded by its length, since it may hold the NUL that separates the rest.
    """
    ordered = sorted(entries, key=lambda entry: entry.path)
    if not ordered:
        return ""
    digest = hashlib.sha256()
    for entry in ordered:
        head = f"{entry.path}\0{_mode(entry):o}\0{len(entry.content)}\0"
        digest.update(head.encode())
        digest.update(entry.content)
    return digest.hexdigest()


def archive_of(
    entries: Iterable[FileEntry], *, below: str = "", uid: int = 0, gid: int = 0, has_directories: bool = True
) -> bytes:
    """An uncompressed tar of the files and their directories, all of one owner, in the directory `below` if given.

    Without directories those that are there keep their owner and mode.

    Source: POSIX.1-2024, pax, "ustar Interchange Format". A longer path than that holds has one pax record, `path`.

    Raises:
        InvalidArgumentError: the names cannot be used (checked here, too: what is written is what was checked).
    """
    if max(uid, gid) > NUMBER:
        raise InvalidArgumentError(f"user {uid}:{gid} cannot own files here: numbers go to {NUMBER}")
    entries = sorted(entries, key=lambda entry: entry.path)
    check_names(entries)
    above = {directory for entry in entries for directory in _above(entry.path)}
    directories = sorted(above) if has_directories else []
    names = [f"{below}/{directory}/" if below else f"{directory}/" for directory in directories]
    owner = uid, gid
    blocks = [
        _member(name, b"", kind=b"5", mode=0o755, owner=owner) for name in ([f"{below}/", *names] if below else names)
    ]
    for entry in entries:
        name = f"{below}/{entry.path}" if below else entry.path
        blocks.append(_member(name, entry.content, kind=b"0", mode=_mode(entry), owner=owner))
    return b"".join((*blocks, bytes(2 * BLOCK)))


def name_below(member: str) -> str:
    """A member of a directory's archive by its name in that directory: Podman leaves out the name of a mount's top."""
    return member.strip("/") if member.startswith("/") else member.partition("/")[2].strip("/")


def _why_not(path: str, most_parts: int) -> str:
    parts = path.split("/")
    reasons = (
        (not path or path.startswith("/"), "it is relative and not empty, as in conf/app.toml"),
        (any(part in ("", ".", "..") for part in parts), "no part of it is empty, '.' or '..'"),
        ("\\" in path, "parts are separated by '/', and a backslash is not allowed"),
        (
            any(c in _REORDERING or unicodedata.category(c) in _UNUSABLE for c in path),
            "it has a character that cannot be shown (control, line break, half a character, writing direction)",
        ),
        (len(parts) > most_parts, f"it has more than {most_parts} parts"),
        (
            max(map(_size, (*parts, ""))) > PART_BYTES or _size(path) > PATH_BYTES,
            f"a part has at most {PART_BYTES} bytes, and all together {PATH_BYTES}",
        ),
    )
    return next((why for is_so, why in reasons if is_so), "")


def _shown(path: str) -> str:
    return path if len(path) <= 80 else f"{path[:76]} ..."


def _size(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _same(one: str, other: str) -> InvalidArgumentError:
    if one == other:
        return InvalidArgumentError(f"file {_shown(one)!r} is given twice; leave one out")
    return InvalidArgumentError(
        f"{_shown(one)!a} and {_shown(other)!a} are one name where case or composed characters do not count; rename one"
    )


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _mode(entry: FileEntry) -> int:
    return 0o755 if entry.is_executable else 0o644


def _member(name: str, content: bytes, *, kind: bytes, mode: int, owner: tuple[int, int]) -> bytes:
    raw = name.encode()
    split = _split(raw)
    if split is not None:
        return _header(*split, kind=kind, mode=mode, size=len(content), owner=owner) + _padded(content)
    # A reader that does not know the record before it sees this name, which leads nowhere.
    stand_in = b"long-name-" + hashlib.sha256(raw).hexdigest().encode()
    record = _record(raw)
    return (
        _header(b"", stand_in, kind=b"x", mode=0o644, size=len(record), owner=owner)
        + _padded(record)
        + _header(b"", stand_in, kind=kind, mode=mode, size=len(content), owner=owner)
        + _padded(content)
    )


def _split(raw: bytes) -> tuple[bytes, bytes] | None:
    """Prefix and name as the header has room for; None when it has not."""
    if len(raw) <= 100:
        return b"", raw
    for at in (at for at, byte in enumerate(raw[:156]) if byte == ord("/")):
        if 0 < len(raw) - at - 1 <= 100:
            return raw[:at], raw[at + 1 :]
    return None


def _record(raw: bytes) -> bytes:
    """`<length> path=<name>` and a line feed, where the length counts its own digits."""
    rest = len(b" path=") + len(raw) + 1
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d path=%s\n" % (length, raw)


def _header(prefix: bytes, name: bytes, *, kind: bytes, mode: int, size: int, owner: tuple[int, int]) -> bytes:
    head = name.ljust(100, b"\0") + b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, *owner, size, 0)
    devices = b"0000000\0" * 2
    rest = kind + bytes(100) + b"ustar\0" + b"00" + bytes(64) + devices + prefix.ljust(155, b"\0") + bytes(12)
    checksum = sum(head) + sum(rest) + 8 * ord(" ")
    return head + b"%06o\0 " % checksum + rest


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)
