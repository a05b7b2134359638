"""An environment without a W&B account, and a server that accepts any account."""

import gzip
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def without_account(home: Path) -> dict[str, str]:
    """Return an environment without any settings of W&B."""
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "NETRC"))}
    kept = {name: value for name, value in kept.items() if "proxy" not in name.lower()}
    return kept | {"HOME": str(home)}


class WandbServer(ThreadingHTTPServer):
    """A server that answers the requests before a view is saved and keeps saved views, or refuses all requests."""

    daemon_threads = True

    def __init__(self, refuses: bool) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.refuses = refuses
        self.saved: list[dict[str, Any]] = []

    @property
    def account(self) -> dict[str, str]:
        return {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": f"http://127.0.0.1:{self.server_port}"}


class Answer(BaseHTTPRequestHandler):
    server: WandbServer

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/graphql":  # telemetry
            self.answer(404, {})
            return
        asked = json.loads(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        if self.server.refuses:
            self.answer(403, {"errors": [{"message": "permission denied"}]})
            return
        person = {"id": "1", "name": "me", "username": "me", "entity": "me", "email": "", "admin": False, "flags": "{}"}
        project = {
            "id": "1",
            "name": "rnnexp",
            "entityName": "me",
            "createdAt": "",
            "isBenchmark": False,
            "user": None,
        }
        data = {
            "viewer": person | {"teams": {"edges": []}, "apiKeys": {"edges": []}},
            "models": {
                "edges": [{"node": project, "cursor": "1"}],
                "pageInfo": {"endCursor": "1", "hasNextPage": False},
            },
        }
        if "upsertView(" in asked["query"]:
            saved = asked["variables"]
            self.server.saved.append(saved)
            data["upsertView"] = {
                "inserted": True,
                "view": {
                    **{key: saved[key] for key in ("name", "displayName", "description", "type", "spec")},
                    "id": f"id-{len(self.server.saved)}",
                    "project": {"name": saved["projectName"], "entityName": saved["entityName"]},
                },
            }
        self.answer(200, {"data": data})

    def answer(self, status: int, content: dict[str, Any]) -> None:
        encoded = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def wandb_server(refuses: bool = False) -> Iterator[WandbServer]:
    with WandbServer(refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
