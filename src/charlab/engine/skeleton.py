"""A cell taken apart: the tensors that its step reads, and the step as a function of them."""

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn, final

from torch import Tensor, nn

from charlab.cells.base import Cell, GateLinear

Product = Callable[[int, Tensor], Tensor]


def parameter_names(cell: Cell) -> tuple[str, ...]:
    """Names of all tensors that the cell computes with, in the order in which runners take them.

    Parameters in the order of `named_parameters`, then buffers (whose gradient nobody wants). A
    tensor with two names is there twice, so every product has a weight of its own. Weights and
    biases of products go by these names even where a parametrization makes them.
    """
    parameters, buffers = [], []
    linears: list[str] = []
    for path, module in cell.named_modules(remove_duplicate=False):
        if any(path.startswith(f"{linear}.") for linear in linears):
            continue
        if isinstance(module, GateLinear):
            linears.append(path)
            parameters += [f"{path}.weight"] + [f"{path}.bias"] * (module.bias is not None)
            continue
        prefix = f"{path}." if path else ""
        parameters += [prefix + name for name, own in module._parameters.items() if own is not None]
        buffers += [prefix + name for name, own in module._buffers.items() if own is not None]
    return (*parameters, *buffers)


def tensor_of(cell: Cell, name: str) -> Tensor:
    """The tensor that the cell has under one of its `parameter_names`."""
    value: object = cell
    for part in name.split("."):
        value = getattr(value, part)
    assert isinstance(value, Tensor)
    return value


@final
class Places(NamedTuple):
    """Where the tensors that a runner is given stand among them.

    input    weight and bias (or None) of the input product
    linears  the same of each recurrent product
    others   the further ones
    """

    input: tuple[int, int | None]
    linears: tuple[tuple[int, int | None], ...]
    others: tuple[int, ...]


@final
class Tap(nn.Module):
    """Stands where a recurrent product was: asks the skeleton's user for its value."""

    def __init__(self, products: list[Product], number: int, linear: GateLinear) -> None:
        super().__init__()
        self.products = products
        self.number = number
        self.gates = linear.gates
        self.in_features = linear.in_features
        self.out_features = linear.out_features

    def forward(self, a_BH: Tensor) -> Tensor:
        return self.products[0](self.number, a_BH)


def _no_product(number: int, a_BH: Tensor) -> NoReturn:
    raise AssertionError("a product outside of a step")


@final
class Skeleton:
    """A copy of a cell without its tensors, whose recurrent products are a function.

    parameter_names as of the function above: what a runner is given
    linear_names    recurrent products in the order of `named_modules`: "recur_rz", ...
    gates_of        the gates of each of them
    other_names     tensors that are neither of the input product nor of a recurrent one: parameters
                    and buffers, in the order of parameter_names
    others_like     the same tensors on the meta device: their shapes and types

    places: where tensors stand in parameter_names.

    It is in the mode (training or not) that the cell is in. A tensor that the step reads in any
    other way than by these names makes `step` raise.
    """

    def __init__(self, cell: Cell) -> None:
        self.parameter_names = parameter_names(cell)
        tensors = [*cell.parameters(), *cell.buffers()]
        self.cell = copy.deepcopy(cell, {id(tensor): None for tensor in tensors})
        self.state_type: type[tuple[Tensor, ...]] = type(cell.initial_state(1))

        paths = [
            path
            for path, module in cell.named_modules(remove_duplicate=False)
            if isinstance(module, GateLinear)
        ]
        self.linear_names = tuple(path for path in paths if path != "input_linear")
        self.gates_of: dict[str, tuple[str, ...]] = {}
        self._products: list[Product] = [_no_product]
        for number, path in enumerate(self.linear_names):
            parent, _, child = path.rpartition(".")
            linear = cell.get_submodule(path)
            assert isinstance(linear, GateLinear)
            self.gates_of[path] = linear.gates
            self.cell.get_submodule(parent)._modules[child] = Tap(self._products, number, linear)
        del self.cell._modules["input_linear"]

        owned = tuple(f"{path}." for path in paths)
        self.other_names = tuple(n for n in self.parameter_names if not n.startswith(owned))
        self.others_like = [tensor_of(cell, name).to("meta") for name in self.other_names]
        place = {name: number for number, name in enumerate(self.parameter_names)}
        self.places = Places(
            (place["input_linear.weight"], place.get("input_linear.bias")),
            tuple((place[f"{p}.weight"], place.get(f"{p}.bias")) for p in self.linear_names),
            tuple(place[name] for name in self.other_names),
        )
        # where the step finds them: instance attributes are looked up before parameters
        self._places: list[tuple[dict[str, object], str]] = []
        for name in self.other_names:
            path, _, own = name.rpartition(".")
            self._places.append((self.cell.get_submodule(path).__dict__, own))

    def step(
        self,
        x_BG: Tensor,
        state: Sequence[Tensor],
        others: Sequence[Tensor],
        product: Product,
    ) -> tuple[Tensor, ...]:
        """The parts of the state after one step.

        product gives the output of the linear of that number, for an input of the step's making.
        """
        self._products[0] = product
        for (attributes, name), tensor in zip(self._places, others, strict=True):
            attributes[name] = tensor
        try:
            return tuple(self.cell.step(x_BG, self.state_type(*state)))
        finally:
            self._products[0] = _no_product
            for attributes, name in self._places:
                attributes[name] = None
