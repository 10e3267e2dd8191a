"""The position of a loader: which epoch, how much of it is done, and going on from there."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from charlab.errors import UsageError
from charlab.types import Batch
from charlab.world import World

ONE_PROCESS = World()


class EpochLoader(ABC):
    """One epoch of batches after another, for process `world.rank` of `world.size`.

    Batches are a function of epoch and number, so these two integers are the position. `len` is
    the number of batches of an epoch, equal on all processes. Iterating starts the next epoch, or
    goes on where a loaded state left off.
    """

    def __init__(self, world: World) -> None:
        assert 0 <= world.rank < world.size
        self._world = world
        self._epoch = 0
        self._next_batch = 0
        self._resumed = False

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def mean_targets(self) -> float:
        """Targets of an average batch."""

    @property
    @abstractmethod
    def _shape(self) -> dict[str, int]:
        """What settles, with `len`, how an epoch is cut: the rows of a batch over all processes."""

    @property
    @abstractmethod
    def _options(self) -> list[str]:
        """The options that `_shape` comes from, with their values; the option to blame first."""

    @abstractmethod
    def _batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """The batches of an epoch from number `first` to its end."""

    def __iter__(self) -> Iterator[Batch]:
        # Runs at the first next(), so that an iterator made and thrown away costs no epoch.
        # Lightning never asks a sized loader for more than its length: nothing may be left to do
        # after the last yield, hence the position moves on before each.
        if self._next_batch == len(self) or (self._next_batch > 0 and not self._resumed):
            self._epoch += 1
            self._next_batch = 0
        self._resumed = False
        for batch in self._batches(self._epoch, self._next_batch):
            self._next_batch += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The position: an epoch, the batches of it handed out, and how it is cut."""
        return {
            "epoch": self._epoch,
            "next_batch": self._next_batch,
            "num_batches": len(self),
            **self._shape,
        }

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """The next iteration goes on from this position; UsageError if the epoch was cut otherwise.

        A finished epoch fits any cut, an unfinished one only its own.
        """
        next_batch, num_batches = state_dict["next_batch"], state_dict["num_batches"]
        is_finished = next_batch == num_batches
        if not is_finished and next_batch > 0:
            self._check_cut(state_dict)
        self._epoch = state_dict["epoch"]
        self._next_batch = len(self) if is_finished else next_batch
        self._resumed = True

    def _check_cut(self, state_dict: dict[str, int]) -> None:
        shape = {name: state_dict[name] for name in self._shape}
        num_batches, next_batch = state_dict["num_batches"], state_dict["next_batch"]
        if (num_batches, shape) == (len(self), self._shape):
            return
        options = " and ".join([", ".join(self._options), f"{self._world.size} process(es)"])
        raise UsageError(
            "the checkpoint is in the middle of an epoch that was cut into other batches",
            expected=f"{num_batches} batches an epoch, of which {next_batch} are done, "
            f"each of {_in_words(shape)}",
            got=f"{len(self)} batches with {options}, each of {_in_words(self._shape)}",
            hint="resume with the data, the data options and trainer.devices of the run",
            option=self._options[0].split("=")[0],
        )


def _in_words(shape: dict[str, int]) -> str:
    return " x ".join(f"{number} {name}" for name, number in shape.items())
