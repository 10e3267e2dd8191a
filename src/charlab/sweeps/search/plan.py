"""What a sweep file asks for, put together: its parts, their jobs, and what came of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, final

from charlab.config.nearest import did_you_mean, nearest_options
from charlab.errors import MissingPackage, UsageError
from charlab.sweeps.definition.distributions import as_text
from charlab.sweeps.definition.files import SweepFile
from charlab.sweeps.jobs import Job, Listed, Source
from charlab.sweeps.search.grid import WatchedGrid, tried_jobs
from charlab.sweeps.search.space import MAX_JOBS, Space
from charlab.sweeps.search.tuning import Tried
from charlab.sweeps.search.turns import InTurns

if TYPE_CHECKING:
    from optuna.study import Study

# flags for what is said to Hydra's launchers elsewhere
FLAGS = {"hydra.launcher.workers": "--workers", "hydra.launcher.gpus_per_job": "--gpus-per-job"}
# trials that --dry-run draws
NUM_EXAMPLES = 5


@final
@dataclass(frozen=True)
class Part:
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
    """A search by Optuna: a study for each part, with as many trials each.

    storage_url  a database; None keeps the studies in a file beside the runs
    """

    file: SweepFile
    parts: Sequence[Part]
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
                            self._study(part),
                            part.space,
                            num_trials=part.num_trials,
                            seed=part.seed,
                            retry_failed=retry_failed,
                        )
                    )
                    for part in self.parts
                ]
            )

    def tried(self) -> Mapping[str, list[Tried]]:
        """The trials of each part that are over. Raises UsageError where there is no study yet."""
        need_optuna()
        from charlab.sweeps.search.trials import tried

        return {
            part.name: list(tried(self._study(part, make=False), part.space)) for part in self.parts
        }

    def num_open(self) -> int:
        """The trials that are not over: those of other processes, or cut off."""
        need_optuna()
        from charlab.sweeps.search.trials import num_open

        return sum(num_open(self._study(part)) for part in self.parts)

    def examples(self) -> list[Job]:
        """The first trials of the first part, drawn for themselves alone."""
        need_optuna()
        from charlab.sweeps.search.study import examples

        part = self.parts[0]
        return examples(part.space, min(NUM_EXAMPLES, part.num_trials), part.seed)

    def _study(self, part: Part, *, make: bool = True) -> "Study":
        from charlab.sweeps.search.storage import open_study

        goal, folder = self.file.metric.goal, part.job.folder
        return open_study(part.study_name, goal, folder, self.storage_url, make=make)


@final
@dataclass(frozen=True)
class Grid:
    """All combinations: the jobs of each part."""

    file: SweepFile
    jobs: Sequence[Job]
    parts: Mapping[str, Sequence[Job]]

    @contextmanager
    def source(self, *, retry_failed: bool) -> Iterator[Source]:
        hyperband = self.file.hyperband
        yield (
            Listed(self.jobs)
            if hyperband is None
            else WatchedGrid(self.jobs, self.file.metric, hyperband)
        )

    def tried(self) -> Mapping[str, list[Tried]]:
        """The jobs of each part that are over."""
        metric = self.file.metric
        return {name: tried_jobs(jobs, metric) for name, jobs in self.parts.items()}


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
        found = {name: one.grid(share) for name, one in spaces.items()}
        return Grid(file, [job for jobs in found.values() for job in jobs], found)
    share = _share(file, num_trials, len(spaces))
    return Search(
        file,
        [Part(name, one, one.check(), share, seed) for name, one in spaces.items()],
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


def _share(file: SweepFile, num_trials: int | None, num_parts: int) -> int:
    if num_trials is not None:
        return num_trials
    if file.num_trials is None:
        raise UsageError(
            f"nothing says when the {file.method} search of {file.path} ends",
            expected="--trials N, or run_cap in the file",
            got="neither",
            hint="--trials 20",
        )
    if file.num_trials % num_parts:
        raise UsageError(
            f"run_cap {file.num_trials} cannot be dealt out to {num_parts} values of --per",
            expected="the same number of trials for each",
            got=f"run_cap: {file.num_trials}",
            hint=f"--trials {max(1, file.num_trials // num_parts)}",
        )
    return file.num_trials // num_parts


def need_optuna() -> None:
    """Load it, to be heard when it warns; UsageError where it is not installed."""
    if find_spec("optuna") is None:
        raise MissingPackage("a search (method: random or bayes)", "optuna", "sweeps")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
