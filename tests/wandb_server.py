"""A stand-in for the server of Weights & Biases, for the real clients: wandb.init, sweep, agent.

    with WandbServer() as server:
        subprocess.run(["wandb", "sweep", "file.yaml"], env={**os.environ, **server.env})
    server.runs["abc123"].config

It keeps what clients send, in memory, and answers what they ask. Grids alone are dealt out to
agents. An operation that it does not know is answered with an error, and named in `unknown`.
"""

import base64
import contextlib
import itertools
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

from .wandb_records import ServerRun, ServerSweep, grid

ENTITY = "somebody"
KEY = "0123456789" * 4


class WandbServer:
    """Runs while it is entered, on a port of its own."""

    def __init__(self) -> None:
        self.runs: dict[str, ServerRun] = {}
        self.sweeps: dict[str, ServerSweep] = {}
        self.operations: list[str] = []
        self.unknown: set[str] = set()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        handler = type("Handler", (_Handler,), {"server_of_wandb": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

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
        self._http.shutdown()
        self._http.server_close()

    # ------------------------------------------------------------------------ operations by name
    def answer(self, query: str, given: dict[str, Any]) -> dict[str, Any] | None:
        """The data of a GraphQL operation; None where there is none such."""
        name = re.search(r"\b(?:query|mutation)\s+(\w+)", query)
        operation = name[1] if name else query[:40]
        with self._lock:
            self.operations.append(operation)
            method = getattr(self, f"_{operation}", None)
            if method is None:
                self.unknown.add(operation)
                return None
            found: dict[str, Any] = method(given)
            return found

    def _Viewer(self, given: dict[str, Any]) -> dict[str, Any]:
        teams = {"edges": [{"node": {"id": "team", "name": ENTITY}}]}
        viewer = {"id": "1", "entity": ENTITY, "username": ENTITY, "flags": "{}", "teams": teams}
        return {"viewer": viewer, "serverInfo": {"frontendHost": self.url}}

    def _RunResumeStatus(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(given["name"])
        if run is None or run.starts == 0:
            return {"model": {"id": "p", "name": given["project"], "bucket": None}}
        bucket = {
            "id": run.id,
            "name": run.id,
            "historyLineCount": len(run.history),
            "eventsLineCount": 0,
            "logLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
            "eventsTail": "[]",
            "summaryMetrics": json.dumps(run.summary),
            "config": json.dumps({name: {"value": value} for name, value in run.config.items()}),
            "tags": run.tags,
            "wandbConfig": "{}",
        }
        return {"model": {"id": "p", "name": given["project"], "bucket": bucket}}

    def _UpsertBucket(self, given: dict[str, Any]) -> dict[str, Any]:
        name = given.get("name") or given["id"]
        is_new = name not in self.runs
        run = self.runs.setdefault(name, ServerRun(name, given.get("project") or ""))
        run.project = given.get("project") or run.project
        run.name = given.get("displayName") or run.name
        run.group = given.get("groupName") or run.group
        run.tags = given.get("tags") or run.tags
        run.sweep = given.get("sweep") or run.sweep
        if given.get("config"):
            config = json.loads(given["config"])
            run.config |= {key: item["value"] for key, item in config.items() if key != "_wandb"}
        if given.get("summaryMetrics"):
            run.summary |= json.loads(given["summaryMetrics"])
        if given.get("displayName"):  # at the start of a process, and not at its end
            run.state, run.exit_code, run.preempting = "running", None, False
            run.starts += 1
        project = {"id": "p", "name": run.project, "entity": {"id": "e", "name": ENTITY}}
        bucket = {
            "id": run.id,
            "name": run.id,
            "displayName": run.name,
            "description": "",
            "config": "{}",
            "sweepName": run.sweep,
            "project": project,
            "historyLineCount": len(run.history),
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": is_new}}

    def _CreateRunFiles(self, given: dict[str, Any]) -> dict[str, Any]:
        run = given["run"]
        files = [
            {"name": name, "uploadUrl": f"{self.url}/upload/{run}/{name}"}
            for name in given["files"]
        ]
        made = {"runID": run, "uploadHeaders": [], "files": files}
        return {"createRunFiles": made}

    # Tables are files of the run, and of artifacts too: those it says to have already.
    def _ArtifactType(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def _ServerFeaturesQuery(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _OrganizationCoreWeaveOrganizationID(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"entity": {"organization": None}}

    def _CreateArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        sequence = {"latestArtifact": None}
        made = {
            "id": given["input"]["clientID"],
            "state": "COMMITTED",
            "artifactSequence": sequence,
        }
        return {"createArtifact": {"artifact": made}}

    def _UpsertSweep(self, given: dict[str, Any]) -> dict[str, Any]:
        config = yaml.safe_load(given["config"])
        name = f"sweep{next(self._numbers)}"
        sweep = ServerSweep(name, given["projectName"], config, grid(config["parameters"]))
        self.sweeps[name] = sweep
        project = {"name": sweep.project, "entity": {"name": ENTITY}}
        made = {"id": sweep.id, "name": sweep.id, "project": project}
        return {"upsertSweep": {"sweep": made, "configValidationWarnings": []}}

    def _SweepWithRuns(self, given: dict[str, Any]) -> dict[str, Any]:
        sweep = self.sweeps[given["sweep"]]
        return {
            "project": {
                "sweep": {
                    "id": sweep.id,
                    "name": sweep.id,
                    "method": sweep.config["method"],
                    "state": "RUNNING",
                    "config": json.dumps(sweep.config),  # JSON is YAML
                    "runs": {"edges": []},
                }
            }
        }

    def _CreateAgent(self, given: dict[str, Any]) -> dict[str, Any]:
        agent = f"{given['sweep']}:agent{next(self._numbers)}"
        self.sweeps[given["sweep"]].agents[agent] = given["host"]
        return {"createAgent": {"agent": {"id": agent}}}

    def _Heartbeat(self, given: dict[str, Any]) -> dict[str, Any]:
        agent, running = given["id"], json.loads(given["runState"])
        sweep = self.sweeps[agent.partition(":")[0]]
        commands = [] if running else [sweep.next_command(agent, self.runs)]
        return {"agentHeartbeat": {"agent": {"id": agent}, "commands": json.dumps(commands)}}

    # ------------------------------------------------------------------------ what runs send
    def stream(self, run_id: str, sent: dict[str, Any]) -> None:
        """A part of a run's files, or its end."""
        with self._lock:
            run = self.runs[run_id]
            for name, part in sent.get("files", {}).items():
                if name == "wandb-history.jsonl":
                    run.history[part["offset"] :] = map(json.loads, part["content"])
                elif name == "wandb-summary.json":
                    run.summary |= json.loads(part["content"][-1])
            run.preempting = run.preempting or bool(sent.get("preempting"))
            if sent.get("complete"):
                run.exit_code = sent["exitcode"]
                failed = "preempted" if run.preempting else "failed"
                run.state = "finished" if run.exit_code == 0 else failed

    def upload(self, run_id: str, name: str, content: bytes) -> None:
        with self._lock:
            self.runs[run_id].files[name] = content


class _Handler(BaseHTTPRequestHandler):
    server_of_wandb: WandbServer
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a client that has ended
            super().handle()

    def do_POST(self) -> None:
        sent = json.loads(self._body())
        server = self.server_of_wandb
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
        _, _, run, name = self.path.split("/", 3)
        self.server_of_wandb.upload(run, name, self._body())
        self._send({})

    def do_GET(self) -> None:
        self._send({})

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
