"""What a stand-in for the server of Weights & Biases keeps of runs and sweeps."""

import itertools
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ServerRun:
    """A run as its page would show it.

    config, summary  by name; history: the rows of wandb.log; files: name -> content
    state            pending, running, finished, failed, crashed, or preempted: it is to go on
    starts           how often a process has begun to write it
    """

    id: str
    project: str
    name: str = ""
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    sweep: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    state: str = "pending"
    exit_code: int | None = None
    preempting: bool = False
    starts: int = 0


@dataclass
class ServerArtifact:
    """files: name -> content, its manifest among them; run: the id of the run that made it."""

    id: str
    name: str
    type: str
    run: str
    aliases: list[str]
    metadata: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)
    is_committed: bool = False


@dataclass
class ServerView:
    """A saved page, such as a report."""

    id: str
    type: str
    project: str
    title: str
    spec: dict[str, Any]


@dataclass
class ServerSweep:
    """A sweep, and what became of its jobs.

    jobs    the parameters of those that no agent has been given
    agents  their hosts, by their ids
    dealt   run id -> the agents that were given it, one after another, where it was preempted
    """

    id: str
    project: str
    config: dict[str, Any]
    jobs: list[dict[str, Any]]
    agents: dict[str, str] = field(default_factory=dict)
    dealt: dict[str, list[str]] = field(default_factory=dict)
    args: dict[str, dict[str, Any]] = field(default_factory=dict)  # of each run

    def next_command(self, agent: str, runs: dict[str, ServerRun]) -> dict[str, Any]:
        """For an agent that has nothing to do: preempted runs first, the end when all are given."""
        preempted = [run for run in self.dealt if run in runs and runs[run].state == "preempted"]
        if preempted:
            kind, run = "resume", preempted[0]
            runs[run].state = "pending"
        elif self.jobs:
            kind, run = "run", f"{self.id}run{len(self.dealt)}"
            self.args[run] = {name: {"value": value} for name, value in self.jobs.pop(0).items()}
        else:
            return {"type": "exit"}
        self.dealt.setdefault(run, []).append(agent)
        program = self.config["program"]
        return {"type": kind, "run_id": run, "program": program, "args": self.args[run]}


def grid(parameters: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Every combination of the parameters of a sweep file, in the order of their names in it."""
    values = {name: told.get("values", [told.get("value")]) for name, told in parameters.items()}
    return [dict(zip(values, chosen)) for chosen in itertools.product(*values.values())]
