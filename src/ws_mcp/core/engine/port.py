"""The door to a container engine.

Every call may raise `EngineUnavailableError`, `EngineTimeoutError` and `EngineError` beside the errors that it names;
every call has a deadline inside the door. Names and ids are checked before they reach a URL: bad ones are
`InvalidArgumentError`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from anyio.abc import ByteStream

from ws_mcp.core.engine.model import (
    Container,
    ContainerSpec,
    EngineEvent,
    EngineInfo,
    ExecSpec,
    Image,
    Network,
    Volume,
)
from ws_mcp.core.ids import ContainerId

Report = Callable[[str, float], Awaitable[None]]
"""Called with the phase (words) and the fraction done (0 to 1, never falling)."""


class Engine(Protocol):
    """A container engine: Docker, or Podman through its Docker-compatible API."""

    async def info(self) -> EngineInfo:
        """Ask the engine who and how it is; also the cheapest proof that it answers."""
        ...

    async def list_containers(self, labels: Mapping[str, str]) -> tuple[Container, ...]:
        """All containers, running or not, that carry all `labels` (an empty value matches any)."""
        ...

    async def inspect(self, container: str) -> Container:
        """One container by full id or name.

        Raises:
            EngineNotFoundError: the engine answered that there is none.
        """
        ...

    async def create(self, spec: ContainerSpec) -> ContainerId:
        """Create, not start.

        Raises:
            ImageNotFoundError: the image is not on the engine for this platform (it is never pulled here).
            EngineConflictError: the name is taken.
        """
        ...

    async def start(self, container: ContainerId) -> None:
        """Start; starting a running container is no error.

        Raises:
            EngineNotFoundError
        """
        ...

    async def stop(self, container: ContainerId, grace_s: float) -> None:
        """TERM, `grace_s`, KILL; stopping a stopped container is no error, a paused one ends, too.

        Raises:
            EngineNotFoundError
        """
        ...

    async def remove(self, container: ContainerId) -> None:
        """Force-remove with its anonymous volumes; named volumes are kept; one that is gone is no error."""
        ...

    async def pause(self, container: ContainerId) -> None:
        """Freeze all its processes; pausing a paused container is no error.

        Raises:
            EngineNotFoundError
            EngineConflictError: it is not running.
        """
        ...

    async def unpause(self, container: ContainerId) -> None:
        """Let its processes go on; it is no error when they do.

        Raises:
            EngineNotFoundError
            EngineConflictError: it is not running.
        """
        ...

    async def rename(self, container: ContainerId, name: str) -> None:
        """Give it another name, running or not.

        Raises:
            EngineNotFoundError
            EngineConflictError: the name is taken, and be it by itself.
        """
        ...

    async def logs(self, container: ContainerId, lines: int, limit_bytes: int) -> str:
        """The last `lines` of what its own command wrote, stdout and stderr, raw; of those the last `limit_bytes`.

        Raises:
            EngineNotFoundError
        """
        ...

    def open_exec(self, container: ContainerId, spec: ExecSpec) -> AbstractAsyncContextManager[ByteStream]:
        """Run a command and talk to it: send() is its stdin, receive() its stdout (stderr is dropped and logged).

        Raises on entering:
            EngineNotFoundError: no such container.
            EngineConflictError: the container is not running.
        """
        ...

    async def put_archive(self, container: ContainerId, path: str, tar: bytes) -> None:
        """Unpack an uncompressed tar below the directory `path` of a container that never ran or may be running.

        Raises:
            EngineNotFoundError: no such container or directory.
        """
        ...

    async def get_archive(self, container: ContainerId, path: str, limit_bytes: int) -> bytes:
        """The file or tree at `path` as an uncompressed tar.

        Raises:
            EngineNotFoundError: no such container or path.
            EngineError: it is larger than `limit_bytes`.
        """
        ...

    async def image(self, name: str) -> Image:
        """One image by name or id.

        Raises:
            ImageNotFoundError
        """
        ...

    async def list_images(self) -> tuple[Image, ...]:
        """All images that have a tag."""
        ...

    async def import_image(self, tar: bytes, name: str) -> None:
        """Make an image `name` (repository:tag) whose root file system is `tar` (may be an empty archive)."""
        ...

    async def pull(self, image: str, platform: str, report: Report) -> None:
        """Bring an image here from its registry, or what its tag names there now; `platform` may be "".

        It has a deadline of its own, in minutes. When the caller is cancelled the engine stops, too; what it has got
        by then may stay.

        Raises:
            ImageNotFoundError: the registry has no such image for this platform, or not for us.
        """
        ...

    async def remove_image(self, name: str) -> None:
        """Remove; one that is gone is no error.

        Raises:
            EngineConflictError: a container uses it.
        """
        ...

    async def create_volume(self, name: str, labels: Mapping[str, str]) -> Volume:
        """Create, or return the one that exists under this name, whoever made it: look at what comes back."""
        ...

    async def inspect_volume(self, name: str) -> Volume:
        """One volume by name.

        Raises:
            EngineNotFoundError
        """
        ...

    async def list_volumes(self, labels: Mapping[str, str]) -> tuple[Volume, ...]:
        """All volumes that carry all `labels`."""
        ...

    async def remove_volume(self, name: str) -> None:
        """Remove; one that is gone is no error.

        Raises:
            EngineConflictError: it is in use.
        """
        ...

    async def volume_usage(self) -> Mapping[str, int]:
        """The size in bytes of each named volume; one that the engine cannot measure is left out."""
        ...

    async def create_network(
        self, name: str, labels: Mapping[str, str], *, is_internal: bool, subnet: str = ""
    ) -> None:
        """Create a bridge network, in a subnet (10.1.2.0/24) or in whichever the engine has left.

        Raises:
            EngineConflictError: the name is taken.
            SubnetTakenError: the subnet overlaps another, or the engine has none left.
        """
        ...

    async def inspect_network(self, name: str) -> Network:
        """One network by name.

        Raises:
            EngineNotFoundError
        """
        ...

    async def remove_network(self, name: str) -> None:
        """Remove; one that is gone is no error.

        Raises:
            EngineConflictError: a container that runs is in it (with Podman: any container).
        """
        ...

    async def list_networks(self, labels: Mapping[str, str]) -> tuple[Network, ...]:
        """All networks that carry all `labels`."""
        ...

    def open_events(self) -> AbstractAsyncContextManager[AsyncIterator[EngineEvent]]:
        """Events from now on; iteration ends when the engine closes the stream."""
        ...

    async def aclose(self) -> None:
        """Close what is kept open."""
        ...
