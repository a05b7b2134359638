"""A web server on this machine that serves files, with a prefix for each manner of serving, and what was fetched."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SIGN_IN = b"<!DOCTYPE html><title>Sign in to the network</title>"
STALLED_AFTER = 100


class Mirror(ThreadingHTTPServer):
    """A server of files at /<manner>/<file> that records its requests.

    Manners: `good`; `slow` and `stall` after 100 bytes; `cut` in half; `missing`; `html` with status 200; `garbled`,
    valid gzip of other content; `last-garbled`, the same for files named t10k-labels only.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = files
        self.asked: list[str] = []
        self.stall_is_over = threading.Event()

    def url(self, manner: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{manner}"


class Answer(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        manner, file = self.path.strip("/").split("/")
        content = self.server.files[file]
        length = len(content)
        if manner == "missing":
            self.send_error(404)
            return
        if manner == "html":
            content = SIGN_IN
            length = len(content)
        elif manner == "cut":
            content = content[: length // 2]
        elif manner == "garbled":
            content = gzip.compress(b"\0\0\x08\x03 too short for its own header")
            length = len(content)
        elif manner == "last-garbled" and file.startswith("t10k-labels"):
            content = b"garbled"
            length = len(content)
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if manner in ("stall", "slow"):
            self.wfile.write(content[:STALLED_AFTER])
            self.wfile.flush()
            self.server.stall_is_over.wait(60 if manner == "stall" else 0.5)
            content = content[STALLED_AFTER:]
        # A client that was killed has left.
        with suppress(ConnectionError):
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Mirror]:
    """Run the server in a thread; `files` are served unchanged."""
    with Mirror(files) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.stall_is_over.set()
        server.shutdown()
        thread.join()


def written(root: Path) -> list[str]:
    """Return the name of every file below root except the lock."""
    return sorted(path.name for path in root.rglob("*") if path.is_file() and path.name != ".lock")
