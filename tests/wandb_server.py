"""A stand-in for the server of Weights & Biases, for the real clients: wandb.init, sweep, agent.

    with WandbServer() as server:
        subprocess.run(["wandb", "sweep", "file.yaml"], env={**os.environ, **server.env})
    server.runs["abc123"].config

It keeps what clients send, in memory, and answers what they ask. Grids alone are dealt out to
agents. An operation that it does not know is answered with an error, and named in `unknown`.
It can also hang, or die.
"""

import base64
import contextlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .wandb_answers import ENTITY, WandbAnswers

__all__ = ["ENTITY", "KEY", "WandbServer"]

KEY = "0123456789" * 4


class WandbServer(WandbAnswers):
    """Runs while it is entered, on a port of its own."""

    def __init__(self) -> None:
        handler = type("Handler", (_Handler,), {"server_of_wandb": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        super().__init__(f"http://127.0.0.1:{self._http.server_port}")
        self.is_dead = False
        self._goes_on = threading.Event()
        self._goes_on.set()

    @property
    def env(self) -> dict[str, str]:
        """What makes a client talk to this server alone."""
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": KEY,
            "WANDB_ERROR_REPORTING": "false",
            "NO_PROXY": "127.0.0.1",
        }

    def __enter__(self) -> "WandbServer":
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.die()
        self._goes_on.set()

    def hang(self) -> None:
        """From now on take requests, and answer none."""
        self._goes_on.clear()

    def die(self) -> None:
        """From now on refuse connections, and answer nothing on those there are."""
        if not self.is_dead:
            self.is_dead = True
            self._http.shutdown()
            self._http.server_close()

    def wait_while_it_hangs(self) -> None:
        self._goes_on.wait()


class _Handler(BaseHTTPRequestHandler):
    server_of_wandb: WandbServer
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a client that has ended
            super().handle()

    def do_POST(self) -> None:
        sent = json.loads(self._body())
        server = self.server_of_wandb
        if self._is_silent():
            return
        if self.path == "/graphql":
            data = None
            if self._is_known():
                data = server.answer(sent["query"], sent.get("variables") or {})
            unknown = {"data": None, "errors": [{"message": "unknown operation"}]}
            self._send(unknown if data is None else {"data": data})
            return
        stream = re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path)
        if stream:
            server.stream(stream[1], sent)
        self._send({"exitcode": None, "limits": {}})

    def do_PUT(self) -> None:
        content = self._body()
        if self._is_silent():
            return
        _, kind, owner, name = self.path.split("/", 3)
        self.server_of_wandb.upload(kind, owner, name, content)
        self._send({})

    def do_GET(self) -> None:
        if not self._is_silent():
            self._send({})

    def _is_silent(self) -> bool:
        """Whether the server is dead; comes back only when it does not hang any more."""
        self.server_of_wandb.wait_while_it_hangs()
        self.close_connection = self.close_connection or self.server_of_wandb.is_dead
        return self.server_of_wandb.is_dead

    def _is_known(self) -> bool:
        key = base64.b64encode(f"api:{KEY}".encode()).decode()
        return self.headers.get("Authorization") in (f"Basic {key}", f"Bearer {KEY}")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *words: object) -> None:
        """Nothing on the screen."""
