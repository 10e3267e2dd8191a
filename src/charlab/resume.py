"""Which run a command line is about: a new one, or one that goes on. Imports nothing heavy."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from charlab.claims import deciding, holder_of
from charlab.errors import CharlabError, Held, UsageError
from charlab.found import Found, find_run, runs_of, state_of
from charlab.run_names import run_name
from charlab.runs import Run, read_record


@final
@dataclass(frozen=True)
class Asked:
    """What the command line says about runs of its configuration that there are already.

    once          run it once, whoever asks how often
    retry_failed  a run that failed, or was pruned, does not count
    run           go on with this run, and no other
    extends       it is to train for longer than it was to
    """

    once: bool = False
    retry_failed: bool = False
    run: Path | None = None
    extends: bool = False


def chosen(config: Mapping[str, Any], asked: Asked) -> Found | None:
    """The interrupted run to go on with, None for a new one; with `once` also a finished one.

    Raises Held where a live process has the run; CharlabError where it failed and is not to be
    tried again; UsageError where resume=must finds nothing, and where `asked.run` is finished and
    not to be extended.
    """
    if asked.run is not None:
        return _named(asked.run, asked.extends)
    folder, name = _folder(config), run_name(config)
    if asked.once:
        found = find_run(folder, name)
        if found is not None and found.state == "finished":
            return found
        if found is not None and found.state == "running":
            raise _held(found.path)
        if found is not None and found.state != "interrupted" and not asked.retry_failed:
            why = str(found.record.get("error") or "").partition("\n")[0]
            raise CharlabError(
                f"{found.state} before: {found.path}: {why}",
                hint="--retry-failed, which tries it again",
            )
    interrupted = [run for run in runs_of(folder, name) if run.state == "interrupted"]
    if interrupted and config["resume"] != "never":
        return interrupted[-1]
    if config["resume"] == "must":
        raise UsageError(
            f"no interrupted run of this configuration is in {folder}",
            expected=f"a run directory {name} that is not finished, and that no process has",
            got=", ".join(f"{run.path.name}: {run.state}" for run in runs_of(folder, name))
            or "none of that name",
            hint="resume=auto starts a new run",
            option="resume",
        )
    return None


def left_alone(config: Mapping[str, Any], run: Path) -> list[Path]:
    """Interrupted runs of the same configuration as `run`, which goes on, beside it."""
    found = runs_of(_folder(config), run_name(config))
    others = [one.path for one in found if one.state == "interrupted"]
    return [path for path in others if path.resolve() != run.resolve()]


def _named(path: Path, extends: bool) -> Found:
    record = read_record(path)
    found = Found(path, state_of(path, record), record)
    if found.state == "running":
        raise _held(path)
    if found.state == "finished" and not extends:
        raise UsageError(
            f"{path} has finished: nothing is left of its budget",
            expected="a run that was interrupted, or that failed, or a larger budget",
            got=f"status {record['status']}",
            hint=f"charlab resume {shlex.quote(str(path))} trainer.max_steps=N, with N above "
            f"{record.get('total_steps', 'its steps')}",
        )
    if found.state == "finished" and record.get("num_steps", 0) < record.get("total_steps", 0):
        raise UsageError(
            f"{path} was ended by early stopping, not by its budget",
            expected="a run that has had its whole budget",
            got=f"{record['num_steps']:,} of {record['total_steps']:,} steps",
            hint="callbacks.early_stopping.patience=N with a larger N is another run",
        )
    return found


def _held(path: Path) -> Held:
    holder = holder_of(path) or "a process that is about to end"
    return Held(f"{path} is held by {holder}", path)


def _folder(config: Mapping[str, Any]) -> Path:
    return Path(config["paths"]["runs"]) / str(config["group"])


def says_finished(config: Mapping[str, Any], asked: Asked) -> bool:
    """Whether there is nothing to do, which is said; raises what `chosen` does.

    A look before anything heavy is loaded. `begun` looks again.
    """
    found = chosen(config, asked)
    if found is None or found.state != "finished" or asked.extends:
        return False
    print(f"finished already: {found.path}")
    return True


@contextmanager
def begun(config: Mapping[str, Any], overrides: Sequence[str], asked: Asked) -> Iterator[Run]:
    """The run to run, new or taken over; this process holds it until the end of the block.

    Of several processes that come here for one configuration each sees what those before it made.
    Raises what `chosen` does, and SystemExit with code 0 where the run is finished by now.
    """
    folder = _folder(config) if asked.run is None else asked.run.resolve().parent
    with deciding(folder):
        if says_finished(config, asked):
            raise SystemExit(0)
        found = chosen(config, asked)
        if found is None:
            run = Run.create(config, overrides, Path(config["paths"]["runs"]))
        else:
            run = Run.take(found.path)
    try:
        yield run
    finally:
        run.release()
