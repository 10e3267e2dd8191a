"""What a stand-in for the server of Weights & Biases knows, and what it answers."""

import itertools
import json
import re
import threading
from typing import Any

import yaml

from .wandb_records import ServerArtifact, ServerRun, ServerSweep, ServerView, grid

ENTITY = "somebody"


class WandbAnswers:
    """Runs, artifacts, sweeps and views by their ids, and the operations that make them.

    operations  names of all that were asked, in their order; unknown: those without an answer
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.runs: dict[str, ServerRun] = {}
        self.sweeps: dict[str, ServerSweep] = {}
        self.artifacts: dict[str, ServerArtifact] = {}
        self.views: dict[str, ServerView] = {}
        self.operations: list[str] = []
        self.unknown: set[str] = set()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

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

    def _GetDefaultEntity(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": {"id": "1", "entity": ENTITY}}

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
        run.job_type = given.get("jobType") or run.job_type
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

    # ------------------------------------------------------------------------ artifacts
    def _ArtifactType(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def _ServerFeaturesQuery(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _OrganizationCoreWeaveOrganizationID(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"entity": {"organization": None}}

    def _CreateArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        told = given["input"]
        made = ServerArtifact(
            id=told["clientID"],
            name=told["artifactCollectionName"],
            type=told["artifactTypeName"],
            run=told["runName"],
            aliases=[alias["alias"] for alias in told.get("aliases") or []],
            metadata=json.loads(told.get("metadata") or "{}"),
        )
        self.artifacts[made.id] = made
        artifact = {
            "id": made.id,
            "state": "PENDING",
            "artifactSequence": {"latestArtifact": None},
        }
        return {"createArtifact": {"artifact": artifact}}

    def _CreateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:
        file = self._artifact_file(given["artifactID"], given["name"])
        return {"createArtifactManifest": {"artifactManifest": {"id": file["id"], "file": file}}}

    def _CreateArtifactFiles(self, given: dict[str, Any]) -> dict[str, Any]:
        told = given["input"]["artifactFiles"]
        nodes = [self._artifact_file(file["artifactID"], file["name"]) for file in told]
        edges = [{"node": {**node, "storagePath": node["name"]}} for node in nodes]
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _artifact_file(self, artifact: str, name: str) -> dict[str, Any]:
        return {
            "id": f"{artifact}:{name}",
            "name": name,
            "displayName": name,
            "uploadUrl": f"{self.url}/artifact/{artifact}/{name}",
            "uploadHeaders": [],
            "uploadMultipartUrls": None,
            "artifact": {"id": artifact},
        }

    def _CommitArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        artifact = self.artifacts[given["artifactID"]]
        artifact.is_committed = True
        return {"commitArtifact": {"artifact": {"id": artifact.id, "digest": ""}}}

    # ------------------------------------------------------------------------ views: reports
    def _ProjectInternalId(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"id": "p", "internalId": "UHJvamVjdEludGVybmFsSWQ6MQ=="}}

    def _GetProjects(self, given: dict[str, Any]) -> dict[str, Any]:
        names = sorted({run.project for run in self.runs.values()})
        edges = [
            {
                "cursor": name,
                "node": {
                    "__typename": "Project",
                    "id": name,
                    "name": name,
                    "entityName": ENTITY,
                    "createdAt": "2026-01-01T00:00:00",
                    "isBenchmark": False,
                    "user": None,
                },
            }
            for name in names
        ]
        page = {"endCursor": None, "hasNextPage": False}
        return {"models": {"edges": edges, "pageInfo": page}}

    def _upsertView(self, given: dict[str, Any]) -> dict[str, Any]:
        view = ServerView(
            id=given.get("id") or f"view{next(self._numbers)}",
            type=given["type"],
            project=given["projectName"],
            title=given["displayName"],
            spec=json.loads(given["spec"]),
        )
        self.views[view.id] = view
        project = {"id": "p", "name": view.project, "entityName": given["entityName"]}
        told = {**given, "id": view.id, "project": project, "updatedAt": "2026-01-01T00:00:00"}
        return {"upsertView": {"view": told, "inserted": True}}

    # ------------------------------------------------------------------------ sweeps
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

    def upload(self, kind: str, owner: str, name: str, content: bytes) -> None:
        """A file of a run (kind "upload") or of an artifact."""
        with self._lock:
            files = self.runs[owner].files if kind == "upload" else self.artifacts[owner].files
            files[name] = content

    def give_up_on_silent_runs(self) -> None:
        """What the real one does with runs that have not been heard of for minutes."""
        with self._lock:
            for run in self.runs.values():
                if run.state == "running":
                    run.state = "crashed"
