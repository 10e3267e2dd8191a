"""From the parameters of a sweep to jobs: what is typed for each, and its configuration."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import final

from charlab.config.compose import Composer
from charlab.config.mistakes import unknown_option
from charlab.config.options import all_options
from charlab.data.check import check_data_config
from charlab.errors import UsageError
from charlab.run_names import config_hash
from charlab.sweeps.definition.distributions import Constant, Distribution, Scalar, as_text
from charlab.sweeps.definition.files import SweepFile
from charlab.sweeps.jobs import Job

Values = Mapping[str, Scalar]
# of a grid; to check a job takes milliseconds
MAX_JOBS = 100_000


@final
@dataclass(frozen=True)
class Space:
    """What a sweep file sweeps over, and what else is typed for each of its jobs.

    overrides  those of the command in the file
    typed      those of the command line, which come last
    constant   the parameters with one value, whatever part of the sweep a job is of
    """

    file: SweepFile
    composer: Composer
    overrides: tuple[str, ...]
    parameters: Mapping[str, Distribution]
    typed: tuple[str, ...]
    constant: frozenset[str]

    @classmethod
    def of(cls, file: SweepFile, typed: Sequence[str]) -> "Space":
        """`typed` takes the place of parameters of the same name.

        Raises UsageError for parameters that are no options.
        """
        composer = Composer(file.program.parent / "conf", "config", None)
        for name in file.parameters:
            if name not in all_options() and name not in composer.choices:
                raise _no_option(file, name)
        given = dict(override.partition("=")[::2] for override in typed)
        parameters = {
            name: Constant(given[name]) if name in given else distribution
            for name, distribution in file.parameters.items()
        }
        return cls(
            file=file,
            composer=composer,
            overrides=file.overrides,
            parameters=parameters,
            typed=tuple(line for line in typed if line.partition("=")[0] not in file.parameters),
            constant=frozenset(
                name for name, part in parameters.items() if isinstance(part, Constant)
            ),
        )

    def with_value(self, name: str, value: Scalar) -> "Space":
        """The same with one value of one parameter."""
        return replace(self, parameters={**self.parameters, name: Constant(value)})

    def job(self, values: Values) -> Job:
        """The job with these values. Raises UsageError where they do not compose."""
        swept = {name: f"{name}={as_text(value)}" for name, value in values.items()}
        overrides = (*self.overrides, *swept.values(), *self.typed)
        config, plain = self.composer.compose_job(overrides)
        check_data_config(config.data)
        constant = (swept[name] for name in swept if name in self.constant)
        return Job(overrides, plain, frozenset((*self.overrides, *constant, *self.typed)))

    def grid(self, num_jobs: int | None) -> list[Job]:
        """A job for each combination, the first num_jobs of them where it is a number.

        The last parameter changes fastest, as W&B counts. To be called after `check_size`. Raises
        UsageError for one that does not compose.
        """
        values_of = [distribution.grid() or () for distribution in self.parameters.values()]
        choices = [values[:num_jobs] for values in values_of]
        combinations = islice(product(*choices), num_jobs)
        return [
            self._checked(dict(zip(self.parameters, values)), f"job {number}")
            for number, values in enumerate(combinations, 1)
        ]

    def check_size(self, num_jobs: int | None) -> None:
        """Raises UsageError for a grid of more combinations than anybody means.

        num_jobs  how many of them there are to be; None for all
        """
        counts = {name: part.num_values() or 1 for name, part in self.parameters.items()}
        total = math.prod(counts.values())
        largest = max(counts, key=counts.__getitem__)
        asked = total if num_jobs is None else min(num_jobs, total)
        if max(asked, counts[largest]) > MAX_JOBS:
            raise UsageError(
                f"{self.file.path}: a grid of {total:,} combinations is too large",
                expected=f"at most {MAX_JOBS:,}",
                got=f"{counts[largest]:,} values of {largest} alone",
                hint="values: [...] with some of them, or method: random with --trials N",
                option=largest,
            )

    def check(self) -> Job:
        """Compose with both ends of every range and all values of every choice, one at a time.

        Returns the first of these jobs. Raises UsageError for one that does not compose.
        """
        first = {name: parameter.corners()[0] for name, parameter in self.parameters.items()}
        job = self._checked(first, "the least values")
        for name, parameter in self.parameters.items():
            for value in parameter.corners()[1:]:
                self._checked({**first, name: value}, f"{name}={as_text(value)}")
        return job

    def digest(self, job: Job, seed: int) -> str:
        """8 hex digits that name a search: how it goes, its space, all other options, its seed.

        job  what `check` returns
        """
        swept = {name: str(parameter) for name, parameter in self.parameters.items()}
        parts = [self.file.definition, swept, config_hash(job.config), seed]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]

    def _checked(self, values: Values, where: str) -> Job:
        try:
            return self.job(values)
        except UsageError as error:
            raise _in_file(self.file, where, error) from error


def _in_file(file: SweepFile, where: str, error: UsageError) -> UsageError:
    return UsageError(
        f"{file.path}: {where}: {error.what}",
        expected=error.expected,
        got=error.got,
        hint=error.hint,
        option=error.option,
    )


def _no_option(file: SweepFile, name: str) -> UsageError:
    error = unknown_option(name, got=name, owners={})
    return UsageError(
        f"{file.path}: parameters: {error.what}",
        expected=error.expected,
        got=name,
        hint=error.hint.partition("=")[0],
        option=name,
    )
