"""Connections of our own to an engine, for streams: unix, tcp, TLS, and ssh as a child process."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
from anyio.abc import ByteStream, Process

from ws_mcp.core.engine.context import Endpoint, TlsFiles, ssh_command, ssh_complaint
from ws_mcp.core.engine.sockets import SocketStream, connect_unix


@asynccontextmanager
async def open_transport(endpoint: Endpoint) -> AsyncGenerator[ByteStream]:
    """A connection; leaving the block closes it and ends the child behind it.

    Raises on entering:
        OSError: no connection.
    """
    if endpoint.kind == "ssh":
        async with _open_ssh(endpoint) as stream:
            yield stream
        return
    async with await _connected(endpoint) as stream:
        yield stream


async def _connected(endpoint: Endpoint) -> ByteStream:
    if endpoint.kind == "unix":
        return await connect_unix(endpoint.path)
    if endpoint.tls is None:
        return await anyio.connect_tcp(endpoint.host, endpoint.port)
    context = await anyio.to_thread.run_sync(_tls_context, endpoint.tls)
    # Not "standard compatible": engines and proxies end without the closing handshake, and that is no attack here,
    # since exec and event streams tell their end themselves.
    return await anyio.connect_tcp(
        endpoint.host,
        endpoint.port,
        ssl_context=context,
        tls_hostname=endpoint.host,
        tls_standard_compatible=False,
    )


def _tls_context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files.ca or None)
    if not files.verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if files.certificate and files.key:
        context.load_cert_chain(files.certificate, files.key)
    return context


class _SshStream(ByteStream):
    """The connection through ssh; where it ends before its first byte, ssh's own words say why."""

    def __init__(self, stream: ByteStream, complaints: socket.socket) -> None:
        self._stream = stream
        self._complaints = complaints
        self._has_spoken = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        try:
            received = await self._stream.receive(max_bytes)
        except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
            if self._has_spoken:
                raise
            raise ssh_complaint(self._complaints) from error
        self._has_spoken = True
        return received

    async def send(self, item: bytes) -> None:
        try:
            await self._stream.send(item)
        except anyio.BrokenResourceError as error:
            if self._has_spoken:
                raise
            raise ssh_complaint(self._complaints) from error

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


@asynccontextmanager
async def _open_ssh(endpoint: Endpoint) -> AsyncGenerator[ByteStream]:
    complaints, its_stderr = socket.socketpair()
    complaints.setblocking(False)
    with complaints:
        with its_stderr:
            child, ours = await _start_ssh(endpoint, its_stderr)
        try:
            async with SocketStream(ours) as stream:
                yield _SshStream(stream, complaints)
        finally:
            with anyio.CancelScope(shield=True):
                if child.returncode is None:
                    child.kill()
                await child.wait()


async def _start_ssh(endpoint: Endpoint, its_stderr: socket.socket) -> tuple[Process, socket.socket]:
    ours, its = socket.socketpair()
    try:
        with its:
            child = await anyio.open_process(
                ssh_command(endpoint),
                stdin=its.fileno(),
                stdout=its.fileno(),
                stderr=its_stderr.fileno(),
                start_new_session=True,
            )
    except BaseException:
        ours.close()
        raise
    return child, ours
