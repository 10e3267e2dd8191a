"""sbatch, srun, squeue, scontrol and scancel that run jobs as processes of this machine.

As much of SLURM as a sweep needs: job arrays, the queue, signals, requeueing. A signal reaches
every process of a job, as it does on some clusters; there is no time limit and no accounting.

    SlurmStandIn(folder).path   has the commands, for the PATH of those who call them
"""

import fcntl
import os
import re
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

COMMANDS = ("sbatch", "srun", "squeue", "scontrol", "scancel")
START_S = 0.1  # between the end of a job and the start of what comes next


class SlurmStandIn:
    """A cluster of its own in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "bin"
        for made in (self.path, folder / "queue", folder / "marks"):
            made.mkdir(parents=True)
        for command in COMMANDS:
            file = self.path / command
            words = [sys.executable, "-I", "-S", __file__, str(folder), command]
            file.write_text(f'#!/bin/sh\nexec {" ".join(words)} "$@"\n')
            file.chmod(file.stat().st_mode | stat.S_IXUSR)

    @property
    def queue(self) -> dict[str, str]:
        return read_queue(self.folder)

    def stop_answering(self) -> None:
        (self.folder / "down").touch()

    def call(self, command: str, *words: str) -> str:
        return subprocess.run(
            [self.path / command, *words], check=True, capture_output=True, text=True
        ).stdout

    def wait_for(self, slurm_id: str, state: str | None, limit_s: float = 60) -> None:
        give_up_s = time.monotonic() + limit_s
        while self.queue.get(slurm_id) != state:
            assert time.monotonic() < give_up_s, self.queue
            time.sleep(0.05)

    def end(self) -> None:
        """Cancel what is left, by force."""
        for slurm_id in self.queue:
            Path(self.folder, "marks", f"{slurm_id}.cancelled").touch()
            send(self.folder, slurm_id, signal.SIGKILL)


# ------------------------------------------------------------------------------ the commands
def sbatch(folder: Path, script: str) -> int:
    options = read_options(Path(script))
    if options.get("partition") == "nowhere":
        print("sbatch: error: invalid partition specified: nowhere", file=sys.stderr)
        return 1
    number = next_number(folder)
    ids = [str(number)]
    if "array" in options:
        first, last = map(int, options["array"].partition("%")[0].split("-"))
        ids = [f"{number}_{index}" for index in range(first, last + 1)]
    for slurm_id in ids:
        set_state(folder, slurm_id, "PENDING")
    (folder / f"{number}.sh").write_text(Path(script).read_text())
    subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(folder), "controller", str(number), *ids],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "errors").open("ab"),
        start_new_session=True,
    )
    print(f"Submitted batch job {number}")
    return 0


def controller(folder: Path, number: str, *ids: str) -> int:
    """Runs the jobs of one array, in a process of its own that outlives sbatch."""
    script = folder / f"{number}.sh"
    options = read_options(script)
    num_at_once = int(options.get("array", "").partition("%")[2] or len(ids))
    with ThreadPoolExecutor(num_at_once) as pool:
        list(pool.map(lambda slurm_id: run_job(folder, script, slurm_id, options), ids))
    return 0


def run_job(folder: Path, script: Path, slurm_id: str, options: dict[str, str]) -> None:
    marks, num_restarts = folder / "marks", 0
    while True:
        time.sleep(START_S)
        if (marks / f"{slurm_id}.cancelled").exists():
            break
        env = {**os.environ, **variables(slurm_id, num_restarts)}
        output = file_name(options["output"], env)
        with output.open("ab") as file:
            process = subprocess.Popen(["bash", str(script)], env=env, stdout=file, stderr=file)
        set_state(folder, slurm_id, "RUNNING")
        process.wait()
        requeue = marks / f"{slurm_id}.requeue"
        if not requeue.exists():
            break
        requeue.unlink()
        num_restarts += 1
        set_state(folder, slurm_id, "PENDING")
    (folder / "queue" / slurm_id).unlink()


def srun(folder: Path, *words: str) -> int:
    left, output = list(words), None
    while left[0].startswith("-"):
        option = left.pop(0)
        if option == "--output":
            output = file_name(left.pop(0), dict(os.environ))
    if output is not None:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
    task = subprocess.Popen(left, start_new_session=True)
    array, index = (os.environ.get(f"SLURM_ARRAY_{name}") for name in ("JOB_ID", "TASK_ID"))
    slurm_id = f"{array}_{index}" if array else os.environ["SLURM_JOB_ID"]
    (folder / "marks" / f"{slurm_id}.pid").write_text(str(task.pid))
    return task.wait()


def squeue(folder: Path, *words: str) -> int:
    if (folder / "down").exists():
        print("slurm_load_jobs error: Unable to contact slurm controller", file=sys.stderr)
        return 1
    assert "--format=%F %K %T" in words, words
    for slurm_id, state in read_queue(folder).items():
        number, _, index = slurm_id.partition("_")
        print(number, index or "N/A", state)
    return 0


def scontrol(folder: Path, verb: str, slurm_id: str) -> int:
    assert verb == "requeue", verb
    if not (folder / "queue" / slurm_id).exists():
        print("Invalid job id specified", file=sys.stderr)
        return 1
    (folder / "marks" / f"{slurm_id}.requeue").touch()
    send(folder, slurm_id, signal.SIGTERM)
    return 0


def scancel(folder: Path, *words: str) -> int:
    signum = signal.SIGTERM
    for word in words:
        if word.startswith("--signal="):
            signum = signal.Signals["SIG" + word.removeprefix("--signal=")]
            continue
        if not any(one.startswith("--signal=") for one in words):
            (folder / "marks" / f"{word}.cancelled").touch()
        send(folder, word, signum)
    return 0


# --------------------------------------------------------------------------- what they share
def read_options(script: Path) -> dict[str, str]:
    found = re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", script.read_text(), re.MULTILINE)
    return {name: value.strip("'\"") for name, value in found}


def next_number(folder: Path) -> int:
    with (folder / "numbers").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        number = len(file.read()) + 1
        file.write("x")
        return number


def set_state(folder: Path, slurm_id: str, state: str) -> None:
    new = folder / "marks" / f"{slurm_id}.state"
    new.write_text(state)
    new.replace(folder / "queue" / slurm_id)


def read_queue(folder: Path) -> dict[str, str]:
    found = {}
    for file in sorted((folder / "queue").iterdir()):
        try:
            found[file.name] = file.read_text()
        except FileNotFoundError:  # it is over
            continue
    return found


def variables(slurm_id: str, num_restarts: int) -> dict[str, str]:
    number, _, index = slurm_id.partition("_")
    alone = {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1", "SLURM_JOB_NUM_NODES": "1"}
    places = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    array = {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": index} if index else {}
    again = {"SLURM_RESTART_COUNT": str(num_restarts)} if num_restarts else {}
    return {"SLURM_JOB_ID": number, **alone, **places, **array, **again}


def file_name(pattern: str, env: dict[str, str]) -> Path:
    values = {
        "%A": env.get("SLURM_ARRAY_JOB_ID", ""),
        "%a": env.get("SLURM_ARRAY_TASK_ID", ""),
        "%j": env["SLURM_JOB_ID"],
        "%t": "0",
    }
    return Path(re.sub("%[Aajt]", lambda found: values[found[0]], pattern))


def send(folder: Path, slurm_id: str, signum: int) -> None:
    """To every process of the job's task, but not to srun or the script around it."""
    file = folder / "marks" / f"{slurm_id}.pid"
    if not file.exists():
        return
    session = int(file.read_text())
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) == session:
                os.kill(int(process.name), signum)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[2]](Path(sys.argv[1]), *sys.argv[3:]))
