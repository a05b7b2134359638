"""A PostgreSQL server of this machine in a temporary directory, as of Debian's package."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.daemons import free_ports, wait_until_ready

PASSWORD = "not:to@be/shown"
SERVER_USER = "postgres"


def programs() -> Path | None:
    """Return the directory of the newest installed server; None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class PostgresServer:
    """A server that asks for a password and has an empty database.

    Args:
        place: a directory of the server.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        (self.port,) = free_ports(1)
        self.url = f"postgresql+psycopg://studies@127.0.0.1:{self.port}/postgres"
        """The URL of the database, without the password."""
        binaries = programs()
        assert binaries is not None
        self.binaries = binaries
        # The server refuses to run as root.
        self.as_user = ["setpriv", f"--reuid={SERVER_USER}", f"--regid={SERVER_USER}", "--clear-groups"]
        if os.geteuid() != 0:
            self.as_user = []

    def create(self) -> None:
        """Make the files of the database."""
        password_file = self.place / "password"
        password_file.write_text(PASSWORD, encoding="utf-8")
        if self.as_user:
            shutil.chown(self.place, SERVER_USER)
            shutil.chown(password_file, SERVER_USER)
        asks = ["--auth=scram-sha-256", "--username=studies", f"--pwfile={password_file}"]
        command = [*self.as_user, str(self.binaries / "initdb"), f"--pgdata={self.place}/data", *asks]
        subprocess.run(command, check=True, capture_output=True, cwd=self.place)

    def start(self) -> None:
        """Start the server, and return when it accepts connections."""
        options = ["-D", f"{self.place}/data", "-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        self.process = subprocess.Popen(
            [*self.as_user, str(self.binaries / "postgres"), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=self.place,
        )
        ready = [str(self.binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until_ready(lambda: not subprocess.run(ready, check=False, capture_output=True).returncode, "postgres")

    def stop(self) -> None:
        """End the server and all connections."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start a server, and stop it at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as place:
        server = PostgresServer(Path(place))
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()
