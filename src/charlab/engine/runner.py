"""What a backend is to the engine: the whole sequence of one cell, forward and backward."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from torch import Tensor


class Runner(ABC):
    """One cell in one backend, for one type of the state's numbers.

    Called with autograd and autocast off, on tensors of one device. All are contiguous, and all
    floating ones have the type of the state. Results have memory of their own, which the runner
    does not touch again. T and B are at least 1.

    parameters  the cell's tensors in the order of `skeleton.parameter_names`
    state       parts of the state before the chunk, each [B, H] where the step is elementwise
    narrow      mixed precision: the operands of matrix products (x, weights, inputs of recurrent
                products, gradients of pre-activations) are rounded to bfloat16, some of them only
                inside the loop; sums and all that is elementwise stay in the type of the state
    """

    name: str  # what a run records: "compiled", "eager", "triton"

    @abstractmethod
    def saved_shapes(self, num_steps: int, batch_size: int) -> list[tuple[int, ...]]:
        """Shapes of what `forward` keeps for `backward` beyond y and the final state.

        They have the type of the state. The sizes may be symbolic: only arithmetic on them.
        """

    @abstractmethod
    def forward(
        self,
        x_TBI: Tensor,
        state: Sequence[Tensor],
        parameters: Sequence[Tensor],
        *,
        narrow: bool,
        save: bool,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """(y [T, B, H], parts of the state after the chunk, saved), nothing saved without `save`"""

    def stepper(
        self, state: Sequence[Tensor], parameters: Sequence[Tensor], *, narrow: bool
    ) -> Callable[[Tensor], Tensor] | None:
        """A function from x [B, I] to y [B, H], a step a call; None: not faster than `forward`.

        Holds the parameters, and takes them to stay as they are.
        """
        return None

    @abstractmethod
    def backward(
        self,
        grad_y_TBH: Tensor,
        grad_state: Sequence[Tensor],
        x_TBI: Tensor,
        state: Sequence[Tensor],
        parameters: Sequence[Tensor],
        y_TBH: Tensor,
        saved: Sequence[Tensor],
        *,
        narrow: bool,
        need_x: bool,
    ) -> tuple[Tensor | None, list[Tensor], list[Tensor]]:
        """Gradients of (x, None without need_x; parts of the first state; parameters).

        That of a parameter which is not floating is any tensor of its shape.
        """
