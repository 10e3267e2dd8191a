"""Matrix products of a cell on a GPU: weights made ready, and gradients after the loop.

Operands are bfloat16 where products are narrow. What they are added up in, and what they give, is
of the type of the state.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from charlab.engine.gpu.plan import Plan
from charlab.engine.skeleton import Places


def product(a_KI: Tensor, b_IN: Tensor, out_KN: Tensor, add: bool = False) -> Tensor:
    """out = a b, or out + a b, in the type of `out`. Allocates nothing on a GPU."""
    if a_KI.dtype != out_KN.dtype and not a_KI.is_cuda:  # torch has that for GPUs only
        a_KI, b_IN = a_KI.to(out_KN.dtype), b_IN.to(out_KN.dtype)
    if a_KI.dtype == out_KN.dtype:
        if add:
            return torch.addmm(out_KN, a_KI, b_IN, out=out_KN)
        return torch.mm(a_KI, b_IN, out=out_KN)
    if add:
        return torch.addmm(out_KN, a_KI, b_IN, out_dtype=out_KN.dtype, out=out_KN)
    return torch.mm(a_KI, b_IN, out_dtype=out_KN.dtype, out=out_KN)


def made(a_KI: Tensor, b_IN: Tensor, like: Tensor) -> Tensor:
    """a b in the type of `like`."""
    return product(a_KI, b_IN, like.new_empty(a_KI.shape[0], b_IN.shape[1]))


def input_product(
    places: Places, parameters: Sequence[Tensor], x_TBI: Tensor, operand: torch.dtype
) -> Tensor:
    """W x + b [T, B, G] for all steps."""
    weight_GI, bias = parameters[places.input[0]], places.input[1]
    x_KI = x_TBI.flatten(0, 1)
    if bias is not None and operand == x_TBI.dtype:
        gates_KG = torch.addmm(parameters[bias], x_KI, weight_GI.t())
    else:
        gates_KG = made(x_KI.to(operand), weight_GI.to(operand).t(), x_TBI)
        if bias is not None:
            gates_KG += parameters[bias]
    return gates_KG.view(*x_TBI.shape[:2], -1)


def packed(
    plan: Plan, places: Places, parameters: Sequence[Tensor], operand: torch.dtype
) -> dict[str, Tensor]:
    """What kernels and products read under the names weight g, bias g and other i."""
    found = {f"other{i}": parameters[place] for i, place in enumerate(places.others)}
    for number, group in enumerate(plan.groups):
        spots = [places.linears[plan.program.calls[call].linear] for call in group.calls]
        weights = [parameters[weight] for weight, _ in spots]
        found[f"weight{number}"] = _join(weights).to(operand)
        if number in plan.biased:
            biases = [
                weight.new_zeros(len(weight)) if bias is None else parameters[bias]
                for weight, (_, bias) in zip(weights, spots)
            ]
            found[f"bias{number}"] = _join(biases)
    return found


def gradients(
    plan: Plan,
    places: Places,
    parameters: Sequence[Tensor],
    arrays: Mapping[str, Tensor],
    state: Sequence[Tensor],
    x_TBI: Tensor,
    need_x: bool,
) -> tuple[Tensor | None, list[Tensor]]:
    """(gradient of x, those of the parameters) from the arrays that a backward has filled."""
    found = [torch.zeros_like(parameter) for parameter in parameters]
    size = state[0].shape[1]
    d_KC = arrays["d"].flatten(0, 1)
    d_KG = d_KC[:, : plan.program.num_gates * size]
    weight, bias = places.input
    found[weight] = made(d_KG.t(), x_TBI.flatten(0, 1).to(d_KC.dtype), x_TBI)
    if bias is not None:
        found[bias] = d_KG.sum(0, dtype=x_TBI.dtype)
    for number, group in enumerate(plan.groups):
        start = plan.first_column[number] * size
        d_KB = d_KC[:, start : start + group.blocks * size]
        weights = _weight_gradient(plan, number, d_KB, arrays, state)
        biases = d_KB.sum(0, dtype=x_TBI.dtype) if number in plan.biased else None
        for call in group.calls:
            block, length = plan.place[call][1] * size, plan.blocks_of(call) * size
            weight, bias = places.linears[plan.program.calls[call].linear]
            found[weight] += weights[block : block + length]
            if bias is not None and biases is not None:
                found[bias] += biases[block : block + length]
    for column, leaf in enumerate(plan.sums):
        op, args = plan.program.nodes[leaf]
        e_KH = arrays["e"].flatten(0, 1)[:, column * size : (column + 1) * size]
        target = found[places.others[int(args[0])]]
        if op == "scalar":
            target += e_KH.sum()
        else:
            target.view(-1, size)[int(args[1])] += e_KH.sum(0)
    if not need_x:
        return None, found
    weight_GI = parameters[places.input[0]].to(d_KC.dtype)
    return made(d_KG, weight_GI, x_TBI).view_as(x_TBI), found


def _weight_gradient(
    plan: Plan, number: int, d_KB: Tensor, arrays: Mapping[str, Tensor], state: Sequence[Tensor]
) -> Tensor:
    """The sum over steps and rows of d^T a, a being what the group multiplied."""
    size = state[0].shape[1]
    source = plan.groups[number].source
    if source in plan.kept:
        column = plan.kept.index(source) * size
        a_KH = arrays["kept"].flatten(0, 1)[:, column : column + size]
    elif number in plan.recomputed:
        a_KH = arrays[f"source{number}"].flatten(0, 1)
    elif (part := plan.source_part(number)) is None:
        a_KH = arrays[plan.past(source)].flatten(0, 1)
    else:  # what the step before has made
        num_rows = len(state[part])
        grad = made(d_KB[:num_rows].t(), state[part].to(d_KB.dtype), state[part])
        if len(d_KB) == num_rows:
            return grad
        before_KH = arrays[f"new{part}"][:-1].flatten(0, 1)
        return product(d_KB[num_rows:].t(), before_KH.to(d_KB.dtype), grad, add=True)
    return made(d_KB.t(), a_KH.to(d_KB.dtype), state[0])


def _join(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))
