"""What a sweep file asks for, put together: its cells, their jobs, and what came of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, final

from charlab.config.nearest import did_you_mean, nearest_options
from charlab.errors import UsageError
from charlab.sweeps.definition.distributions import as_text
from charlab.sweeps.definition.files import SweepFile
from charlab.sweeps.jobs import Job, Listed, Source
from charlab.sweeps.search.cells import InTurns
from charlab.sweeps.search.grid import WatchedGrid, tried_jobs
from charlab.sweeps.search.space import MAX_JOBS, Space
from charlab.sweeps.search.tuning import Tried

if TYPE_CHECKING:
    from optuna.study import Study

# flags for what is said to Hydra's launchers elsewhere
FLAGS = {"hydra.launcher.workers": "--workers", "hydra.launcher.gpus_per_job": "--gpus-per-job"}
# trials that --dry-run draws
NUM_EXAMPLES = 5


@final
@dataclass(frozen=True)
class Cell:
    """A part of a sweep that is tuned for itself: by the name of its value, the whole otherwise.

    job  one of its jobs, for what they have in common
    """

    name: str
    space: Space
    job: Job
    num_trials: int
    seed: int

    @property
    def study_name(self) -> str:
        return f"{self.name} {self.space.digest(self.job, self.seed)}"


@final
@dataclass(frozen=True)
class Search:
    """A search by Optuna: a study for each cell, with as many trials each.

    storage_url  a database; None keeps the studies in a file beside the runs
    """

    file: SweepFile
    cells: Sequence[Cell]
    storage_url: str | None

    @contextmanager
    def source(self, *, retry_failed: bool) -> Iterator[Source]:
        """Raises UsageError where Optuna is missing or the storage cannot be opened."""
        need_optuna()
        from charlab.sweeps.search.study import StudySource

        with ExitStack() as stack:
            yield InTurns(
                [
                    stack.enter_context(
                        StudySource(
                            self._study(cell),
                            cell.space,
                            num_trials=cell.num_trials,
                            seed=cell.seed,
                            retry_failed=retry_failed,
                        )
                    )
                    for cell in self.cells
                ]
            )

    def tried(self) -> Mapping[str, list[Tried]]:
        """The trials of each cell that are over. Raises UsageError where there is no study yet."""
        need_optuna()
        from charlab.sweeps.search.trials import tried

        return {
            cell.name: list(tried(self._study(cell, make=False), cell.space)) for cell in self.cells
        }

    def num_open(self) -> int:
        """The trials that are not over: those of other processes, or cut off."""
        need_optuna()
        from charlab.sweeps.search.trials import num_open

        return sum(num_open(self._study(cell)) for cell in self.cells)

    def examples(self) -> list[Job]:
        """The first trials of the first cell, drawn for themselves alone."""
        need_optuna()
        from charlab.sweeps.search.study import examples

        cell = self.cells[0]
        return examples(cell.space, min(NUM_EXAMPLES, cell.num_trials), cell.seed)

    def _study(self, cell: Cell, *, make: bool = True) -> "Study":
        from charlab.sweeps.search.storage import open_study

        goal, folder = self.file.metric.goal, cell.job.folder
        return open_study(cell.study_name, goal, folder, self.storage_url, make=make)


@final
@dataclass(frozen=True)
class Grid:
    """All combinations: the jobs of each cell."""

    file: SweepFile
    jobs: Sequence[Job]
    cells: Mapping[str, Sequence[Job]]

    @contextmanager
    def source(self, *, retry_failed: bool) -> Iterator[Source]:
        hyperband = self.file.hyperband
        yield (
            Listed(self.jobs)
            if hyperband is None
            else WatchedGrid(self.jobs, self.file.metric, hyperband)
        )

    def tried(self) -> Mapping[str, list[Tried]]:
        """The jobs of each cell that are over."""
        metric = self.file.metric
        return {name: tried_jobs(jobs, metric) for name, jobs in self.cells.items()}


def plan(
    file: SweepFile,
    typed: Sequence[str],
    *,
    per: str | None,
    num_trials: int | None,
    storage_url: str | None,
    seed: int,
) -> Grid | Search:
    """The sweep of a file.

    typed       overrides of the command line
    per         the parameter whose values are tuned each for itself
    num_trials  for each of these; None is the file's run_cap, dealt out

    Raises UsageError for parameters and values that do not compose.
    """
    _check_typed(typed)
    space = Space.of(file, typed)
    spaces = _spaces(space, per)
    if file.method == "grid":
        if storage_url is not None or seed != 0:
            raise UsageError(
                f"{file.path} is a grid, which has no study and draws nothing",
                expected="--storage and --seed with method: random or bayes",
                got=f"--storage {storage_url}" if storage_url is not None else f"--seed {seed}",
            )
        cap = file.num_trials if num_trials is None else num_trials
        share = cap if per is None or cap is None else _share(file, num_trials, len(spaces))
        space.check_size(None if share is None else share * len(spaces))
        cells = {name: part.grid(share) for name, part in spaces.items()}
        return Grid(file, [job for jobs in cells.values() for job in jobs], cells)
    share = _share(file, num_trials, len(spaces))
    return Search(
        file,
        [Cell(name, part, part.check(), share, seed) for name, part in spaces.items()],
        storage_url,
    )


def _check_typed(typed: Sequence[str]) -> None:
    """Hydra has no part in how these jobs are started, and would not say so."""
    for override in typed:
        name, _, value = override.lstrip("+~").partition("=")
        if name.startswith(("hydra.", "hydra/")) and name != "hydra.searchpath":
            flag = FLAGS.get(name, "--workers")
            raise UsageError(
                f"{name} has no effect on `charlab sweep`",
                expected=f"the flags of `charlab sweep`: {', '.join(FLAGS.values())}",
                got=override,
                hint=f"{flag} {value if name in FLAGS and value else 'N'}",
                option=name,
            )


def _spaces(space: Space, per: str | None) -> dict[str, Space]:
    if per is None:
        return {space.file.path.stem: space}
    if per not in space.parameters:
        guesses = nearest_options(per, space.parameters)
        raise UsageError(
            f"--per {per} is no parameter of {space.file.path}{did_you_mean(guesses)}",
            expected=f"one of {', '.join(space.parameters)}",
            got=per,
        )
    count = space.parameters[per].num_values()
    if count is not None and count > MAX_JOBS:
        raise UsageError(
            f"--per {per}: it has {count:,} values, each tuned for itself",
            expected=f"at most {MAX_JOBS:,}",
            got=str(space.parameters[per]),
            option=per,
        )
    values = space.parameters[per].grid()
    if values is None:
        raise UsageError(
            f"--per {per}: it has endlessly many values",
            expected="a parameter with value, values or whole numbers",
            got=str(space.parameters[per]),
        )
    return {f"{per}={as_text(value)}": space.with_value(per, value) for value in values}


def _share(file: SweepFile, num_trials: int | None, num_cells: int) -> int:
    if num_trials is not None:
        return num_trials
    if file.num_trials is None:
        raise UsageError(
            f"nothing says when the {file.method} search of {file.path} ends",
            expected="--trials N, or run_cap in the file",
            got="neither",
            hint="--trials 20",
        )
    if file.num_trials % num_cells:
        raise UsageError(
            f"run_cap {file.num_trials} cannot be dealt out to {num_cells} cells",
            expected="the same number of trials for each",
            got=f"run_cap: {file.num_trials}",
            hint=f"--trials {max(1, file.num_trials // num_cells)}",
        )
    return file.num_trials // num_cells


def need_optuna() -> None:
    """Load it, to be heard when it warns; UsageError where it is not installed."""
    if find_spec("optuna") is None:
        raise UsageError(
            "searches (method: random and bayes) need the package optuna",
            expected="optuna 5; grids do without",
            got="it is not installed",
            hint="pip install 'charlab[sweeps]'",
        )
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
