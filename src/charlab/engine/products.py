"""The matrix products of a cell and their gradients, in plain torch."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor


@final
class Products:
    """Products with the weights of a cell's linears; K counts rows, of one step or of many.

    places  where each linear's weight and bias (or None) stand in `parameters`
    narrow  operands are rounded to bfloat16, and so are the products, as under torch's autocast;
            biases are added to them in the type of the rest
    """

    def __init__(
        self,
        places: Sequence[tuple[int, int | None]],
        parameters: Sequence[Tensor],
        narrow: bool,
    ) -> None:
        self._narrow = narrow
        weights = [parameters[weight] for weight, _ in places]
        self.weights = [weight.bfloat16() for weight in weights] if narrow else weights
        self._biases = [None if bias is None else parameters[bias] for _, bias in places]

    def forward(self, linear: int, a_KI: Tensor, out: Tensor | None = None) -> Tensor:
        """a W^T + b [K, G], written to `out` where one is given."""
        weight_IG, bias_G = self.weights[linear].t(), self._biases[linear]
        if not self._narrow:
            if bias_G is None:
                return torch.mm(a_KI, weight_IG, out=out)
            return torch.addmm(bias_G, a_KI, weight_IG, out=out)
        made_KG = torch.mm(a_KI.bfloat16(), weight_IG).to(a_KI.dtype)
        if bias_G is not None:
            made_KG += bias_G
        return made_KG if out is None else out.copy_(made_KG)


def operand_gradient(d_KG: Tensor, weight_GI: Tensor) -> Tensor:
    """d W [K, I]: the gradient in what the product was made of. W as in `Products.weights`."""
    return torch.mm(d_KG.to(weight_GI.dtype), weight_GI).to(d_KG.dtype)


def weight_gradient(d_KG: Tensor, a_KI: Tensor, weight_GI: Tensor) -> Tensor:
    """d^T a [G, I]."""
    operand = weight_GI.dtype
    return torch.mm(d_KG.to(operand).t(), a_KI.to(operand)).to(d_KG.dtype)
