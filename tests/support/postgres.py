"""A PostgreSQL server of one test session: Debian's programs, as a user without rights, its data in memory."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import psycopg

from support.listening import free_port

USER = "wsmcp"
PASSWORD = "a-password-that-nobody-may-see"
UNPRIVILEGED = "nobody"
START_S = 30
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "100",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "fatal",
}


def programs() -> Path | None:
    """Where the newest PostgreSQL of this machine has its programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def postgres_missing() -> str:
    """Why there can be no server; "" if there can."""
    return "" if programs() else "no PostgreSQL below /usr/lib/postgresql (apt-get install postgresql)"


@dataclass(kw_only=True)
class Postgres:
    """A server that runs, or was stopped by a test."""

    home: Path
    port: int
    bin: Path
    account: pwd.struct_passwd | None
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, *, has_password: bool = True) -> str:
        """How a database is reached."""
        password = f":{PASSWORD}" if has_password else ""
        return f"postgresql://{USER}{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """An empty database; returns its name."""
        name = f"t_{secrets.token_hex(6)}"
        self.admin(f"CREATE DATABASE {name}")
        return name

    def admin(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Do something as the owner of everything."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def cut(self, database: str) -> None:
        """End every connection to a database, as a server that fails over does."""
        self.admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")

    @contextmanager
    def silent(self, database: str) -> Generator[None]:
        """What serves those who are connected to a database hangs, but its machine acknowledges."""
        asked = f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}'"
        found = [cast("int", row[0]) for row in self.admin(asked)]
        for pid in found:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in found:
                os.kill(pid, signal.SIGCONT)

    def start(self) -> None:
        """Run it; returns when it answers."""
        settings = [part for name, text in _SETTINGS.items() for part in ("-c", f"{name}={text}")]
        self.process = self._run("postgres", "-p", str(self.port), "-k", str(self.home), *settings)
        asks = [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + START_S
        while subprocess.run(asks, check=False).returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL does not start")
            threading.Event().wait(0.02)

    def stop(self) -> None:
        """End it at once; what was committed is there when it is started again."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(START_S)
            self.process = None

    def make(self) -> None:
        """The files of a new server."""
        secret = self.home / "password"
        secret.write_text(PASSWORD)
        if self.account is not None:
            for path in (self.home, secret):
                os.chown(path, self.account.pw_uid, self.account.pw_gid)
        options = ("-U", USER, "-A", "scram-sha-256", "--pwfile", str(secret), "-N", "-E", "UTF8", "--locale=C.UTF-8")
        if self._run("initdb", *options).wait(START_S):
            raise RuntimeError("PostgreSQL cannot make its files")

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        # PostgreSQL does not run as root.
        return subprocess.Popen(
            [str(self.bin / program), "-D", str(self.home / "data"), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self.account and self.account.pw_uid,
            group=self.account and self.account.pw_gid,
            extra_groups=[] if self.account else None,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.home)},
            cwd=self.home,
        )


@contextmanager
def open_postgres_server() -> Generator[Postgres]:
    """A server with nothing in it, gone at the end."""
    found = programs()
    assert found is not None
    memory = Path("/dev/shm")
    home = Path(tempfile.mkdtemp(prefix="wsmcp-postgres-", dir=memory if os.access(memory, os.W_OK) else None))
    account = pwd.getpwnam(UNPRIVILEGED) if os.getuid() == 0 else None
    server = Postgres(home=home, port=free_port(), bin=found, account=account)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
