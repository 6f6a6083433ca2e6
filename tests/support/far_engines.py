"""Engines that are far away, made from the near one: behind `ssh`, behind TCP, behind TLS."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ws_mcp.core.engine.sockets import connect_unix

# What a child `ssh` of the tests does: it shows what it was called with and joins its stdin and stdout to the engine.
FAKE_SSH = """\
#!{python}
import os, socket, sys, threading
with open({calls!r}, "a") as calls:
    print(*sys.argv[1:], sep="\\t", file=calls)
if "unknown" in sys.argv:
    sys.exit("ssh: Could not resolve hostname unknown: Name or service not known")
engine = socket.socket(socket.AF_UNIX)
engine.connect({engine!r})
def up():
    while chunk := os.read(0, 65536):
        engine.sendall(chunk)
    engine.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while chunk := engine.recv(65536):
    os.write(1, chunk)
"""


def put_ssh(directory: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `ssh` first in the path; returns the file that has its calls."""
    program, calls = directory / "ssh", directory / "calls"
    program.write_text(FAKE_SSH.format(python=sys.executable, calls=str(calls), engine=engine))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    return calls


def make_certificate(directory: Path) -> None:
    """One certificate for both sides, in the files that the docker CLI reads."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "engine")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (directory / "ca.pem").write_bytes(pem)
    (directory / "cert.pem").write_bytes(pem)
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@asynccontextmanager
async def open_proxy(engine: str, certificates: Path | None) -> AsyncGenerator[int]:
    """A port that leads to the engine's socket; with certificates it speaks TLS and wants one from its client."""

    async def copy(source: ByteStream, sink: ByteStream) -> None:
        try:
            async for chunk in source:
                await sink.send(chunk)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return
        finally:
            with anyio.CancelScope(shield=True):
                await sink.aclose()

    async def join(client: ByteStream) -> None:
        async with await connect_unix(engine) as server, anyio.create_task_group() as tasks:
            tasks.start_soon(copy, client, server)
            await copy(server, client)

    port = await anyio.create_tcp_listener(local_host="127.0.0.1")
    listener = TLSListener(port, _tls_of(certificates), standard_compatible=False) if certificates else port
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, join)
        yield port.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


def _tls_of(certificates: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context
