"""A real PostgreSQL of Debian's in a folder of its own, for tests. It refuses root, so it runs as nobody."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

READY_WITHIN_S = 60


def program(name: str) -> str | None:
    """Where a program of PostgreSQL is: Debian keeps them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


@contextmanager
def running_postgres() -> Iterator[int]:
    """Start one; gives its port."""
    initdb, postgres = program("initdb"), program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
    try:
        if user:
            shutil.chown(folder, user)
        making = [initdb, "--pgdata", str(folder / "data"), "--auth=trust", "--username=curate", "--encoding=UTF8"]
        subprocess.run(making, user=user, cwd=folder, capture_output=True, timeout=120, check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        # -F: no test cuts the power, so nothing waits for the disk.
        command = [postgres, "-F", "-D", str(folder / "data"), "-p", str(port), "-k", "", "-h", "127.0.0.1"]
        with subprocess.Popen(command, user=user, cwd=folder, stderr=subprocess.DEVNULL) as process:
            try:
                _wait(port, process)
                yield port
            finally:
                process.send_signal(signal.SIGQUIT)  # at once: nothing in the folder is needed any more
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_database(port: int) -> str:
    """Make an empty database; gives its address as a response store."""
    import pg8000.dbapi

    name = f"store_{uuid.uuid4().hex}"
    with closing(pg8000.dbapi.connect("curate", "127.0.0.1", "postgres", port)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
    return f"postgresql://curate@127.0.0.1:{port}/{name}"


def _wait(port: int, process: subprocess.Popen) -> None:
    import pg8000.dbapi

    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "PostgreSQL ended at its start"
        try:
            pg8000.dbapi.connect("curate", "127.0.0.1", "postgres", port).close()
        except (pg8000.dbapi.Error, OSError):
            time.sleep(0.1)
        else:
            return
    raise AssertionError("PostgreSQL is not ready in time")
