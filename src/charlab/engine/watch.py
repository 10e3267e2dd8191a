"""Follows numbers through operations of torch: what each new one is, as a node of a graph.

A step is elementwise if numbers only ever meet others of their own row and unit.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from charlab.engine.graph import Graph
from charlab.engine.lowering import (
    CONSTANTS,
    ELEMENTWISE,
    EMPTY,
    LINEAR,
    LOGICAL,
    MOVING,
    TRUTHS,
    Lower,
)
from charlab.engine.shadow import EVERY, SUMMED, Codes, NotElementwise, Shadow

aten: Any = torch.ops.aten


@final
class Watch(TorchDispatchMode):
    """Within it, every operation either writes its result's codes or raises NotElementwise.

    dtype        of the step's numbers
    in_backward  sums over rows are those of a shared parameter's gradient
    """

    def __init__(self, graph: Graph, shadow: Shadow, dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype = dtype
        self.graph = graph
        self.shadow = shadow
        self.in_backward = False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to say it in torch's usual way loads torch._dynamo, which takes seconds

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in ELEMENTWISE:
            return self._elementwise(func, ELEMENTWISE[func], args, kwargs)
        if func in CONSTANTS:
            return self._fill(func, args, kwargs)
        if func in MOVING:
            return self._move(func, args, kwargs)
        if func is aten.sum.dim_IntList and self.in_backward:
            return self._sum(func, args, kwargs)
        if func in (aten.slice_backward.default, aten.select_backward.default):
            return self._place(func, args)
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise NotElementwise("the step draws random numbers")
        if func in EMPTY:
            return func(*args, **kwargs)
        if func is aten.fill_.Scalar and not self.shadow.knows(args[0]):
            return self._fill(func, args, kwargs)
        if func is aten._local_scalar_dense.default:
            raise NotElementwise("the step looks at the value of a tensor")
        if func in (aten.lift_fresh.default, aten.lift_fresh_copy.default) and args[0].numel() == 1:
            return self._fill(func, args, kwargs)
        if func._schema.is_mutable and self.in_backward:  # autograd's own, on memory of its own
            return self._in_place(func, args, kwargs)
        if func._schema.is_mutable:
            raise NotElementwise(f"the step works in place ({_name(func)})")
        if func is aten._to_copy.default:
            return self._copy(func, args, kwargs)
        return self._other(func, args, kwargs)

    def _other(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Views, and what torch knows to take apart."""
        made = func(*args, **kwargs)
        if all(map(self.shadow.knows, made if isinstance(made, list | tuple) else (made,))):
            return made
        refusal = f"{_name(func)} is not elementwise, or not known to be"
        try:
            with self:
                made = func.decompose(*args, **kwargs)
                if made is NotImplemented and func in (table := _decompositions()):
                    made = table[func](*args, **kwargs)
        except NotElementwise as error:
            raise NotElementwise(refusal) from error
        if made is NotImplemented:
            raise NotElementwise(refusal)
        return made

    def _elementwise(self, func: Any, lower: Lower, args: Any, kwargs: dict[str, Any]) -> Tensor:
        made: Tensor = func(*args, **kwargs)
        self._check_types(func, args, made)
        every = torch.tensor(EVERY)
        codes = [
            self.shadow.read(arg)
            if isinstance(arg, Tensor)
            else Codes(torch.tensor(self.graph.const(float(arg))), every, every)
            for arg in args
            if arg is not None
        ]
        shown = [Codes(*(code.expand(made.shape) for code in one)) for one in codes]
        row = _common([one.row for one in shown], func)
        unit = _common([one.unit for one in shown], func)
        operands = torch.stack([one.node.reshape(-1) for one in shown])
        kinds, place = _distinct(operands)
        if (row == SUMMED).any():
            summed = torch.stack([one.row.reshape(-1) == SUMMED for one in shown])
            for number, kind in enumerate(kinds):
                self._check_linear(func, kind, summed[:, place == number])
        nodes = []
        for kind in kinds:
            given = iter(kind)
            filled = [None if arg is None else next(given) for arg in args]
            nodes.append(self._lowered(func, lower, filled, kwargs))
        self.shadow.write(made, Codes(torch.tensor(nodes)[place].view(made.shape), row, unit))
        return made

    def _check_types(self, func: Any, args: Any, made: Tensor) -> None:
        """Truths are 0 and 1 here, whole numbers and mixed types are not known."""
        name = _name(func).rstrip("_")
        types = {arg.dtype for arg in args if isinstance(arg, Tensor)}
        if name in LOGICAL and types <= {torch.bool}:
            return
        if name in LOGICAL or made.dtype != (torch.bool if name in TRUTHS else self.dtype):
            raise NotElementwise(f"{name} of {', '.join(map(str, types))}")
        of_many = {arg.dtype for arg in args if isinstance(arg, Tensor) and arg.numel() > 1}
        if not of_many <= {self.dtype, torch.bool}:
            raise NotElementwise(f"{name} of {', '.join(map(str, types))}")

    def _check_linear(self, func: Any, operands: Sequence[int], rows: Tensor) -> None:
        """What comes out of a sum over rows is linear in it. rows: which operands are such sums."""
        name, summed = _name(func).rstrip("_"), rows[:, 0].tolist()
        if (rows != rows[:, :1]).any():
            raise NotElementwise(f"{name} of sums over rows and of others")
        zero = [self.graph.value_of(operand) == 0 for operand in operands]
        is_linear = (
            (name in ("add", "sub", "rsub") and all(map(operator.or_, summed, zero)))
            or (name == "where" and not summed[0] and all(map(operator.or_, summed[1:], zero[1:])))
            or (name == "mul" and sum(summed) == 1)
            or (name in LINEAR and summed[0] and not any(summed[1:]))
        )
        if not is_linear:
            raise NotElementwise(f"{name} of a sum over rows")

    def _in_place(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
        plain = getattr(
            getattr(aten, _name(func).removesuffix("_"), None), func._overloadname, None
        )
        if plain not in ELEMENTWISE:
            raise NotElementwise(f"{_name(func)} is not elementwise, or not known to be")
        made = self._elementwise(plain, ELEMENTWISE[plain], args, kwargs)
        self.shadow.rewrite(args[0], self.shadow.read(made))
        target: Tensor = func(*args, **kwargs)
        return target

    def _lowered(
        self, func: Any, lower: Lower, operands: list[int | None], kwargs: dict[str, Any]
    ) -> int:
        try:
            return lower(self.graph, *operands, **kwargs)
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise NotElementwise(f"{_name(func)}: {error}") from error

    def _fill(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
        """One and the same number everywhere: what it is, torch says."""
        made: Tensor = func(*args, **kwargs)
        self.shadow.fill(made, made.flatten()[0].item())
        return made

    def _copy(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
        """The same numbers, or truths as numbers."""
        made: Tensor = func(*args, **kwargs)
        if made.dtype not in (args[0].dtype, self.dtype) or args[0].dtype not in (
            self.dtype,
            torch.bool,
        ):
            raise NotElementwise(f"the step makes {made.dtype} of {args[0].dtype}")
        self.shadow.write(made, self.shadow.read(args[0]))
        return made

    def _move(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
        made: Tensor = func(*args, **kwargs)
        first, *rest = args
        if isinstance(first, list | tuple):
            parts = zip(*map(self.shadow.read, first), strict=True)
            moved = [func(list(codes), *rest, **kwargs) for codes in parts]
        else:
            moved = [func(code, *rest, **kwargs) for code in self.shadow.read(first)]
        self.shadow.write(made, Codes(*moved))
        return made

    def _place(self, func: Any, args: Any) -> Tensor:
        """The backward of a slice: the gradient in its place, and zeros."""
        made: Tensor = func(*args)
        first, *rest = args
        zero = self.graph.const(0)
        # more than a code, so that 0 is left where nothing came: a constant, of every row and unit
        node, row, unit = (func(code + 3, *rest) - 3 for code in self.shadow.read(first))
        place = ((node, zero), (row, EVERY), (unit, EVERY))
        self.shadow.write(made, Codes(*(torch.where(code == -3, of, code) for code, of in place)))
        return made

    def _sum(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
        """The gradient in a parameter that all rows share, and perhaps all units.

        It is linear in the gradient, so the sum can as well be made at the end, over all steps:
        the node is what one row, or one unit of it, gives.
        """
        made: Tensor = func(*args, **kwargs)
        summed = {dim % args[0].ndim for dim in args[1]}
        order = sorted(range(args[0].ndim), key=lambda dim: dim in summed)
        codes = torch.stack(self.shadow.read(args[0]), -1)
        terms = codes.permute(*order, -1).reshape(made.numel(), -1, 3)
        columns = [self._total(list(map(tuple, some))) for some in terms.tolist()]
        self.shadow.write(
            made, Codes.of_table(columns, torch.arange(len(columns)).view(made.shape))
        )
        return made

    def _total(self, terms: list[tuple[int, ...]]) -> tuple[int, int, int]:
        """(node, row, unit) of a sum of numbers, of all rows, whose unit is one or all."""
        units = {unit for _, _, unit in terms}
        one_unit = next(iter(units)) if len(units) == 1 else EVERY
        if all(self.graph.value_of(node) == 0 for node, _, _ in terms):
            return self.graph.const(0), SUMMED, one_unit
        alike = {
            tuple(sorted(node for node, r, u in terms if (r, u) == (row, unit)))
            for row in range(self.shadow.num_rows)
            for unit in units
        }
        if len(alike) > 1 or any(row in (EVERY, SUMMED) for _, row, _ in terms):
            raise NotElementwise("the gradient of a parameter is not a sum over rows")
        total = self.graph.const(0)
        for node in alike.pop():
            total = self.graph.apply("add", total, node)
        return total, SUMMED, one_unit


def _common(codes: Sequence[Tensor], func: Any) -> Tensor:
    """The row, or unit, of numbers made of these: all have the same one, or are in every one."""
    made = torch.full_like(codes[0], EVERY)
    for code in codes:
        if ((made != EVERY) & (code != EVERY) & (made != code)).any():
            raise NotElementwise(f"{_name(func)} joins numbers of different units or rows")
        made = torch.where(code == EVERY, made, code)
    return made


def _distinct(operands: Tensor) -> tuple[list[list[int]], Tensor]:
    """The distinct columns of [operands, N], and for each column which of them it is."""
    place = torch.zeros(operands.shape[1], dtype=torch.int64)
    for row in operands:
        values, which = row.unique(return_inverse=True)
        place = (place * len(values) + which).unique(return_inverse=True)[1]
    first = torch.zeros(int(place.max()) + 1, dtype=torch.int64)
    first[place] = torch.arange(len(place))
    return operands[:, first].T.tolist(), place


def _name(func: Any) -> str:
    return str(func.overloadpacket.__name__)


def _decompositions() -> dict[Any, Callable[..., Any]]:
    from torch._decomp import decomposition_table  # takes a moment, and is seldom needed

    return decomposition_table
