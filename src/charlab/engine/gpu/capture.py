"""Graphs: some steps recorded once, then started as one.

`can_record` and `record` have not been run on a GPU yet: they are written from torch's
documentation. The rest, what is copied into a graph and out of it and when, is tested without.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import final

import torch
from torch import Tensor

STEPS = 8  # that one graph holds: the fewer, the more often a sequence is a multiple of them
MAX_GRAPHS = 8  # of one cell: forward with and without saving, and backward, for some batch sizes
# B * H above which the host starts steps faster than the GPU makes them, so that a graph would only
# add its copies. Reckoned at 20 us for the launches of a step, not measured
MAX_UNITS = 2**18

Arrays = Mapping[str, Tensor]


def can_record(like: Tensor) -> bool:
    """Not within somebody else's recording, such as a whole training step's."""
    return like.is_cuda and not torch.cuda.is_current_stream_capturing()


def record(run: Callable[[], None]) -> Callable[[], None]:
    """What `run` starts on the GPU, as one. It must not allocate, nor depend on values."""
    # first the compiling of kernels and the workspaces of products, on the stream that records
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # thread_local: what other threads allocate meanwhile, as loaders do that pin memory, does not
    # spoil the recording
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        run()
    return graph.replay


@final
class Graph:
    """STEPS steps on arrays of their own. run: of what all steps share, and of the steps."""

    def __init__(self, fixed: Arrays, steps: Arrays, run: Callable[[Arrays, Arrays], None]) -> None:
        own = {id(array): torch.zeros_like(array) for array in fixed.values()}
        self.fixed = {name: own[id(array)] for name, array in fixed.items()}  # one array, two names
        self.steps = {name: torch.zeros_like(array[:STEPS]) for name, array in steps.items()}
        self._replay = record(lambda: run(self.fixed, self.steps))

    def take(self, fixed: Arrays) -> None:
        """Copies what all steps share into the arrays of the graph."""
        for name, array in fixed.items():
            self.fixed[name].copy_(array)

    def replay(self, steps: Arrays, start: int, given: Collection[str]) -> None:
        """Runs steps from `start` on. given: arrays that they read; they write the others."""
        part = {name: array[start : start + STEPS] for name, array in steps.items()}
        for name in given:
            self.steps[name].copy_(part[name])
        self._replay()
        for name in part.keys() - given:
            part[name].copy_(self.steps[name])


@final
class Graphs:
    """The graphs of one cell. The one that was used longest ago goes where a new one comes."""

    def __init__(self) -> None:
        self._graphs: OrderedDict[Hashable, Graph] = OrderedDict()
        self._refused = False

    def get(self, key: Hashable, like_TBH: Tensor, make: Callable[[], Graph]) -> Graph | None:
        """The graph of that key, for steps that give arrays such as this one; None: do without."""
        too_few = len(like_TBH) < STEPS or like_TBH[0].numel() > MAX_UNITS
        if too_few or self._refused or not can_record(like_TBH):
            return None
        if key not in self._graphs:
            try:
                self._graphs[key] = make()
            except RuntimeError as error:
                self._refused = True
                text = "CUDA graphs cannot be recorded here; the engine works without, more slowly"
                logging.getLogger(__name__).warning("%s (%s)", text, error)
                return None
            if len(self._graphs) > MAX_GRAPHS:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(key)
        return self._graphs[key]
