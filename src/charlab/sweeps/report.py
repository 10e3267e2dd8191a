"""What a sweep shows when it is over, and what it would do: tables, failures, what to type next."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from charlab.fitted_table import duration, score_text
from charlab.sweeps.attempt import log_of
from charlab.sweeps.ending import Outcomes
from charlab.sweeps.entry import Entry, Labels
from charlab.sweeps.jobs import Job
from charlab.sweeps.table import STYLES
from charlab.terminal import callable_name

# the name of a run is shown where there is room for it
WIDE = 100
MAX_FAILURES = 5


def show_report(console: Console, entries: Sequence[Entry], outcomes: Outcomes) -> None:
    """All jobs with their scores, then failures with the end of their logs, then what to type.

    outcomes  of those that are over
    """
    if not entries:
        console.print("nothing is left to do")
        return
    console.print()
    _show_table(console, entries)
    for note in outcomes.notes:
        console.print(f"[yellow]note:[/] {note}", soft_wrap=True)
    failures = [e for e in entries if e.state == "failed" or (e.state == "interrupted" and e.tail)]
    # those that the sweep itself has stopped are no failures
    shown = [entry for entry in failures if entry.state == "failed" or outcomes.signal is None]
    for entry in shown[:MAX_FAILURES]:
        _show_failure(console, entry)
    if len(shown) > MAX_FAILURES:
        console.print(f"\nand {len(shown) - MAX_FAILURES:,} more")
    _show_next(console, entries)


def _show_table(console: Console, entries: Sequence[Entry]) -> None:
    labels = Labels([entry.job for entry in entries])
    is_wide = console.width >= WIDE
    scores = [score for e in entries if (score := e.score("val/bpc")) is not None]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("job", overflow="fold")
    table.add_column("state", no_wrap=True)
    for name in ("val", "test", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    if is_wide:
        table.add_column("run", no_wrap=True)
    for entry in entries:
        val = entry.score("val/bpc")
        is_best = val is not None and len(scores) > 1 and val == min(scores)
        cells = [
            Text(str(entry.number), "dim"),
            Text(labels.of(entry.job)),
            Text(entry.state, STYLES[entry.state]),
            Text(score_text(val), "bold" if is_best else ""),
            Text(score_text(entry.score("test/bpc"))),
            Text(duration(entry.run_seconds)),
        ]
        table.add_row(*cells, *([Text(entry.run.name if entry.run else "")] if is_wide else []))
    console.print(table)


def _show_failure(console: Console, entry: Entry) -> None:
    assert entry.outcome is not None
    where = f"job {entry.number} {entry.state}"
    before = "" if entry.attempt is not None else " before this sweep"
    console.print(Text.assemble("\n", (f"{where}{before}", "bold red"), f": {_reason(entry)}"))
    for line in entry.tail:
        console.print(f"  {line}", markup=False, style="dim", soft_wrap=True)
    if entry.tail:
        console.print(f"  all of it: {log_of(entry.job)}", markup=False, soft_wrap=True)


def _reason(entry: Entry) -> str:
    assert entry.outcome is not None
    # of a run that was interrupted run.json tells the end before this one
    told = entry.error.partition("\n")[0] if entry.outcome.ending == "failed" else ""
    is_old = entry.outcome.record.get("status") == "preempted"
    return f"exit code {entry.outcome.exit_code}" if is_old or not told else told


def _show_next(console: Console, entries: Sequence[Entry]) -> None:
    rows = []
    again = _this_command()
    if any(entry.state in ("waiting", "running", "interrupted", "elsewhere") for entry in entries):
        rows.append((again, "goes on where this one stopped"))
    if any(entry.state == "failed" for entry in entries):
        rows.append((f"{again} --retry-failed", "tries those that failed again, from the start"))
        rows += [
            (
                f"{callable_name('charlab')} resume {shlex.quote(str(entry.run))}",
                "from where it was",
            )
            for entry in entries
            if _can_go_on(entry)
        ][:1]
    scored = [(score, e) for e in entries if (score := e.score("val/bpc")) is not None]
    if scored and not rows:
        best = min(scored, key=lambda pair: pair[0])[1]
        charlab = callable_name("charlab")
        rows.append((f"{charlab} sample {shlex.quote(str(best.run))}", "text from the best run"))
        if len(scored) > 1:
            folder = shlex.quote(str(best.job.folder))
            rows.append((f"{charlab} compare {folder}", "what can be said of all of them"))
    if rows:
        console.print("\n[bold]Next[/]")
    for command, purpose in rows:
        console.print(f"  [dim]# {purpose}[/]", soft_wrap=True)
        console.print(f"  {command}", markup=False, soft_wrap=True)


def _can_go_on(entry: Entry) -> bool:
    """Whether a run failed for a reason outside of it, a full disk say, and has a checkpoint."""
    is_own = "TrainingDiverged" in entry.error
    last = None if entry.run is None else entry.run / "checkpoints" / "last.ckpt"
    return entry.state == "failed" and not is_own and last is not None and last.exists()


def _this_command() -> str:
    """As it is typed, but for --retry-failed."""
    words = [word for word in sys.argv[1:] if word != "--retry-failed"]
    program = Path(sys.argv[0])
    is_script = program.suffix == ".py"
    start = [callable_name("python"), sys.argv[0]] if is_script else [callable_name(program.name)]
    return shlex.join([*start, *words])


def list_jobs(console: Console, jobs: Sequence[Job]) -> None:
    """The jobs of a sweep and what there is of each, for a sweep that is not to start."""
    labels = Labels(jobs)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("job", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("run", no_wrap=True)
    folders: set[Path] = set()
    for number, job in enumerate(jobs, 1):
        found = job.find()
        folders.add(job.folder)
        state = "new" if found is None else found.state
        name = job.name if found is None else found.path.name
        table.add_row(str(number), Text(labels.of(job)), state, name)
    console.print(table)
    where = ", ".join(sorted(map(str, folders)))
    console.print(f"{len(jobs):,} jobs; runs in {where}", markup=False, soft_wrap=True)
