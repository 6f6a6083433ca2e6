"""A real execd as a child of the test, built from the checkout."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import anyio
from anyio.abc import ByteStream

from support.fake_place import FakeLimits
from ws_mcp.core.engine.sockets import connect_unix

SOURCE = Path(__file__).parents[2] / "execd"
BUILD = {"CGO_ENABLED": "0", "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}


@cache
def build_execd() -> Path:
    """The program, built once for each test run; the toolchain comes with the environment of the tests."""
    target = Path(mkdtemp(prefix="execd-")) / "execd"
    go = Path(sys.executable).with_name("go")
    subprocess.run([go, "build", "-o", target, "."], cwd=SOURCE, env=os.environ | BUILD, check=True, timeout=300)
    return target


@asynccontextmanager
async def open_real_execd(place: str, secret: str, limits: FakeLimits) -> AsyncGenerator[Path]:
    """Run it; gives its directory. Leaving the block kills it and, with it, what it started."""
    with TemporaryDirectory(prefix="x") as home:
        directory = Path(home) / "d"
        argv = [build_execd(), "serve", "--dir", directory, "--place", place, *_flags(limits)]
        environment = os.environ | {"WSMCP_VERIFIER": hashlib.sha256(secret.encode()).hexdigest()}
        async with await anyio.open_process(argv, env=environment, stdin=None, stdout=None, stderr=None) as process:
            try:
                async with await connect(directory):
                    yield directory
            finally:
                with suppress(ProcessLookupError):  # a test may have stopped it
                    process.terminate()
                with anyio.CancelScope(shield=True):
                    await process.wait()


async def connect(directory: Path) -> ByteStream:
    """A stream to it, as soon as it listens."""
    with anyio.fail_after(30):
        while True:
            try:
                return await connect_unix(str(directory / "sock"))
            except (FileNotFoundError, ConnectionRefusedError):
                await anyio.sleep(0.01)


def _flags(limits: FakeLimits) -> list[str]:
    return [
        "--keep-ended", str(limits.keep_ended),
        "--keep-ended-ms", str(int(limits.keep_ended_s * 1000)),
        "--keep-receipts-ms", str(int(limits.keep_receipts_s * 1000)),
        "--linger-grace-ms", str(int(limits.linger_grace_s * 1000)),
        *(["--gated"] if limits.is_gated else []), *(["--", *limits.main] if limits.main else []),
    ]  # fmt: skip
