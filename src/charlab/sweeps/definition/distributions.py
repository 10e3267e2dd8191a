"""What a parameter of a sweep file is drawn from: values in a grid, or numbers by Optuna.

A value of a `q_` distribution is the nearest multiple of q, as W&B has it, and may lie up to q/2
outside the range. Other numbers are rounded to six digits, and stay in their range.
"""

import math
import sys
from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

Scalar = str | int | float | bool

# probabilities whose quantiles stand for the ends of a range that has none
ENDS = (0.001, 0.999)


def as_text(value: Scalar) -> str:
    """The value as an override has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class Distribution(ABC):
    """Values, or numbers with a density."""

    @abstractmethod
    def draw(self, name: str, trial: "BaseTrial") -> Scalar:
        """The value of a trial."""

    @abstractmethod
    def corners(self) -> Sequence[Scalar]:
        """All values where they are few, else the least and the largest."""

    def grid(self) -> Sequence[Scalar] | None:
        """The values that a grid takes in turn; None where there are endlessly many."""
        return None

    def num_values(self) -> int | None:
        """How many `grid` has, without making them."""
        values = self.grid()
        return None if values is None else len(values)

    @abstractmethod
    def __str__(self) -> str:
        """In words."""


@final
@dataclass(frozen=True)
class Constant(Distribution):
    """One value."""

    value: Scalar

    def draw(self, name: str, trial: "BaseTrial") -> Scalar:
        return self.value

    def corners(self) -> Sequence[Scalar]:
        return (self.value,)

    def grid(self) -> Sequence[Scalar]:
        return (self.value,)

    def __str__(self) -> str:
        return as_text(self.value)


@final
@dataclass(frozen=True)
class Choice(Distribution):
    """One of some values, all as likely or each with its probability."""

    values: tuple[Scalar, ...]
    probabilities: tuple[float, ...] | None = None

    def draw(self, name: str, trial: "BaseTrial") -> Scalar:
        if self.probabilities is None:
            # their text, because to Optuna 1, 1.0 and true are one
            texts = [as_text(value) for value in self.values]
            return self.values[texts.index(trial.suggest_categorical(name, texts))]
        part = trial.suggest_float(name, 0, 1)
        below = list(accumulate(self.probabilities))
        return self.values[min(bisect(below, part), len(below) - 1)]

    def corners(self) -> Sequence[Scalar]:
        return self.values

    def grid(self) -> Sequence[Scalar] | None:
        return self.values if self.probabilities is None else None

    def __str__(self) -> str:
        texts = [as_text(value) for value in self.values]
        if self.probabilities is not None:
            texts = [f"{text} ({part:.3g})" for text, part in zip(texts, self.probabilities)]
        return "one of " + ", ".join(texts)


@final
@dataclass(frozen=True)
class Integers(Distribution):
    """Whole numbers from low to high, both with them."""

    low: int
    high: int

    def draw(self, name: str, trial: "BaseTrial") -> Scalar:
        return trial.suggest_int(name, self.low, self.high)

    def corners(self) -> Sequence[Scalar]:
        return (self.low, self.high)

    def grid(self) -> Sequence[Scalar]:
        return range(self.low, self.high + 1)

    def num_values(self) -> int:
        return self.high - self.low + 1

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


@final
@dataclass(frozen=True)
class Numbers(Distribution):
    """Numbers from low to high, uniform in them or in their logarithm; with q, multiples of it."""

    low: float
    high: float
    is_log: bool = False
    q: float | None = None

    def draw(self, name: str, trial: "BaseTrial") -> Scalar:
        return self._shown(trial.suggest_float(name, self.low, self.high, log=self.is_log))

    def corners(self) -> Sequence[Scalar]:
        return (self._shown(self.low), self._shown(self.high))

    def grid(self) -> Sequence[Scalar] | None:
        """From low in steps of q, without high, as W&B counts them."""
        count = self.num_values()
        if count is None or self.q is None:
            return None
        return [_exact(self.low + step * self.q, self.q) for step in range(count)]

    def num_values(self) -> int | None:
        if self.q is None or self.is_log:
            return None
        return math.ceil(min((self.high - self.low) / self.q - 1e-9, sys.maxsize))

    def _shown(self, value: float) -> Scalar:
        if self.q is not None:
            return nearest_multiple(value, self.q)
        return min(max(_six_digits(value), self.low), self.high)

    def __str__(self) -> str:
        scale = ", uniform in its logarithm" if self.is_log else ""
        step = "" if self.q is None else f", to the nearest {self.q:g}"
        return f"a number from {self.low:.6g} to {self.high:.6g}{scale}{step}"


@final
@dataclass(frozen=True)
class Quantiles(Distribution):
    """Numbers of any distribution that has quantiles: Optuna draws the probability.

    name  the distribution in words
    """

    quantile: Callable[[float], float]
    name: str
    q: float | None = None

    def draw(self, name: str, trial: "BaseTrial") -> Scalar:
        return self._shown(trial.suggest_float(name, 0, 1))

    def corners(self) -> Sequence[Scalar]:
        return [self._shown(end) for end in ENDS]

    def _shown(self, probability: float) -> Scalar:
        value = self.quantile(probability)
        return _six_digits(value) if self.q is None else nearest_multiple(value, self.q)

    def __str__(self) -> str:
        return self.name + ("" if self.q is None else f", to the nearest {self.q:g}")


def nearest_multiple(value: float, q: float) -> Scalar:
    """The multiple of q nearest to the value: whole where q is."""
    return _exact(round(value / q) * q, q)


def _exact(value: float, q: float) -> Scalar:
    """Without the digits that binary fractions add: 0.3, not 0.30000000000000004."""
    exact = float(f"{value:.12g}")
    return int(exact) if isinstance(q, int) and exact.is_integer() else exact


def _six_digits(value: float) -> float:
    return float(f"{value:.6g}")
