"""What may stand in a request to the engine: names, ids and image references are checked before any call (pure).

A name never begins with `-` and never holds `/`, so that it cannot become an option or another path of the API.
"""

from __future__ import annotations

import ipaddress
import re

from ws_mcp.core.errors import InvalidArgumentError

MAX_NAME = 255
MAX_REFERENCE = 512
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_PLATFORM = re.compile(r"[a-z0-9]{1,20}/[a-z0-9_]{1,20}(?:/[a-z0-9]{1,20})?")
_HUB = ("docker.io/library/", "docker.io/")
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_ID = re.compile(r"[0-9a-f]{64}")
# Source: the grammar of github.com/distribution/reference (`reference.go`), digests shortened to what is in use.
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]+)?/)?{_PART}(?:/{_PART})*"
    r"(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,128})?"
)


def is_id(text: str) -> bool:
    """Whether it is a full id of the engine."""
    return _ID.fullmatch(text) is not None


def checked_id(container: str) -> str:
    """A container's full id.

    Raises:
        InvalidArgumentError
    """
    if not is_id(container):
        raise InvalidArgumentError(f"{container[:80]!r} is no full container id: 64 hexadecimal digits")
    return container


def checked_name(kind: str, name: str) -> str:
    """A name of a container, volume or network.

    Raises:
        InvalidArgumentError
    """
    if len(name) > MAX_NAME or _NAME.fullmatch(name) is None:
        raise InvalidArgumentError(
            f"{kind} name {name[:80]!r} cannot be used: letters, digits, '_', '.' and '-', "
            f"beginning with a letter or digit, at most {MAX_NAME} characters"
        )
    return name


def checked_image(reference: str) -> str:
    """An image reference or id.

    Raises:
        InvalidArgumentError
    """
    if len(reference) > MAX_REFERENCE or _REFERENCE.fullmatch(reference) is None:
        raise InvalidArgumentError(
            f"image {reference[:80]!r} cannot be used: write name, name:tag, registry/name:tag or name@sha256:digest; "
            "the name in lower case"
        )
    return reference


def checked_platform(platform: str) -> str:
    """A platform as images have them, for example `linux/arm64` or `linux/arm/v7`; "" for the engine's own.

    Raises:
        InvalidArgumentError
    """
    if platform and _PLATFORM.fullmatch(platform) is None:
        raise InvalidArgumentError(f"platform {platform[:80]!r} cannot be used: write linux/amd64 or linux/arm64")
    return platform


def checked_subnet(subnet: str) -> str:
    """A subnet of a network in its normal form, "" for whichever the engine has left.

    Raises:
        InvalidArgumentError
    """
    try:
        return str(ipaddress.ip_network(subnet)) if subnet else ""
    except ValueError as error:
        raise InvalidArgumentError(f"subnet {subnet[:80]!r} cannot be used: write it like 10.1.2.0/24") from error


def plain_image(reference: str) -> str:
    """An image's name as people write it: Podman names Docker's own registry in full."""
    hub = next((prefix for prefix in _HUB if reference.startswith(prefix)), "")
    return reference[len(hub) :]


def checked_path(path: str) -> str:
    """An absolute path inside a container.

    Raises:
        InvalidArgumentError
    """
    if not path.startswith("/") or "\0" in path or len(path) > 4096:
        raise InvalidArgumentError(f"{path[:80]!r} is no absolute path in a container")
    return path


def checked_archive(tar: bytes) -> bytes:
    """An archive for a container.

    Raises:
        InvalidArgumentError: it is compressed: old engines unpack that with a program out of the container, as root.
    Source: CVE-2026-41567.
    """
    if tar.startswith(_COMPRESSED):
        raise InvalidArgumentError("an archive for a container must not be compressed")
    return tar


def repository_and_tag(reference: str) -> tuple[str, str]:
    """`name:tag` in two; without a tag it is `latest`."""
    repository, colon, tag = reference.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (reference, "latest")
