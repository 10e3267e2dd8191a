"""Says of every number of a traced step which node it is, of which row and of which hidden unit.

Beside each piece of memory that the step writes stands another one, of the same layout, that holds
this. Views then need no rules: they share the memory of what they view.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from charlab.engine.graph import Graph

EVERY = -1  # row or unit of a number that is the same in all of them
SUMMED = -2  # row of a number that stands for its sum over all rows: it may be used linearly alone
NOTHING = -1  # node of memory that has not been written to


@final
class NotElementwise(Exception):
    """The step holds more than recurrent products and elementwise functions."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Codes(NamedTuple):
    """For each number of a tensor its node, row and hidden unit, all int64 of one shape."""

    node: Tensor
    row: Tensor
    unit: Tensor

    @classmethod
    def of_table(cls, columns: Sequence[tuple[int, int, int]], place: Tensor) -> "Codes":
        """For each number the column of its place."""
        table = torch.tensor(columns)[place]
        return cls(*table.unbind(-1))

    def misplaced(self, row: Tensor, unit: Tensor) -> Tensor:
        """Where a number is of another row or unit than these."""
        off_row = (self.row != row) & (self.row != EVERY) & (self.row != SUMMED)
        return off_row | ((self.unit != unit) & (self.unit != EVERY))


@final
class Shadow:
    """The codes of all memory that a step has written so far."""

    def __init__(self, graph: Graph, hidden_size: int, num_rows: int) -> None:
        self.num_rows = num_rows
        self._graph = graph
        self._size = hidden_size
        # a single unit is all units
        self._units = torch.arange(hidden_size) if hidden_size > 1 else torch.tensor([EVERY])
        self._rows_R1 = torch.arange(num_rows)[:, None]
        # address of a storage -> the storage, kept alive, and codes of all that is in it
        self._known: dict[int, tuple[Any, Codes]] = {}

    def knows(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._known

    def read(self, tensor: Tensor) -> Codes:
        """Raises NotElementwise for memory that the step did not write."""
        if not self.knows(tensor):
            raise NotElementwise(
                f"the step reads a tensor of shape {list(tensor.shape)} that is neither a "
                "parameter nor computed from its arguments"
            )
        view = (tensor.shape, tensor.stride(), tensor.storage_offset())
        whole = self._known[tensor.untyped_storage()._cdata][1]
        codes = Codes(*(code.as_strided(*view) for code in whole))
        if (codes.node == NOTHING).any():
            raise NotElementwise("the step reads memory that it did not write")
        return codes

    def write(self, tensor: Tensor, codes: Codes) -> None:
        storage = tensor.untyped_storage()
        length = len(storage) // tensor.element_size()
        whole = Codes(*(torch.full((length,), NOTHING) for _ in codes))
        self._known[storage._cdata] = (storage, whole)
        self.rewrite(tensor, codes)

    def rewrite(self, tensor: Tensor, codes: Codes) -> None:
        """The tensor, in memory that is known, holds something else from now on."""
        view = (tensor.shape, tensor.stride(), tensor.storage_offset())
        whole = self._known[tensor.untyped_storage()._cdata][1]
        for target, code in zip(whole, codes, strict=True):
            target.as_strided(*view).copy_(code)

    def fill(self, tensor: Tensor, number: float) -> None:
        """The tensor is this number everywhere."""
        node = torch.tensor(self._graph.const(float(number)))
        self.write(tensor, Codes(node, torch.tensor(EVERY), torch.tensor(EVERY)))

    def write_blocks(self, tensor: Tensor, nodes: Sequence[int]) -> None:
        """The tensor [rows, len(nodes) * H] holds these nodes side by side."""
        node = torch.tensor(nodes).repeat_interleave(self._size)
        unit = self._units.repeat(len(nodes))
        self.write(tensor, Codes(node, self._rows_R1, unit))

    def write_parameter(self, tensor: Tensor, number: int, name: str) -> int:
        """The tensor is a parameter other than a product's; the number of its blocks.

        It holds one number, and no block, or one or several for each hidden unit.
        """
        shape = tensor.shape
        if tensor.numel() == 1 and tensor.is_floating_point():
            leaf = torch.tensor(self._graph.leaf("scalar", number))
            self.write(tensor, Codes(leaf, torch.tensor(EVERY), torch.tensor(EVERY)))
            return 0
        num_blocks, rest = divmod(tensor.numel(), self._size)
        if not tensor.is_floating_point() or rest != 0 or shape[-1] % self._size != 0:
            raise NotElementwise(
                f"{name} is {tensor.dtype} of shape {list(shape)}: neither one number nor one or "
                f"several for each of {self._size} hidden units"
            )
        leaves = [self._graph.leaf("vector", number, block) for block in range(num_blocks)]
        node = torch.tensor(leaves).repeat_interleave(self._size).view(shape)
        unit = self._units.repeat(num_blocks).view(shape)
        self.write(tensor, Codes(node, torch.tensor(EVERY), unit))
        return num_blocks

    def node_of(self, tensor: Tensor, what: str) -> int:
        """The one node that a tensor [rows, H] holds, each number in its own row and unit."""
        if tensor.shape != (self.num_rows, self._size):
            raise NotElementwise(
                f"{what} has {list(tensor.shape[1:])} numbers a row, not {self._size}"
            )
        codes = self.read(tensor)
        if codes.misplaced(self._rows_R1, self._units).any() or (codes.row == SUMMED).any():
            raise NotElementwise(f"{what}: numbers change their row or their hidden unit")
        if len(nodes := set(codes.node.flatten().tolist())) > 1:
            raise NotElementwise(f"{what}: units of one block are not computed alike")
        return int(nodes.pop())

    def gradients(self, tensor: Tensor, gradient: Tensor) -> Iterator[tuple[int, int]]:
        """(leaf, node of its gradient) for each leaf that a tensor holds, where there is one."""
        leaves, found = self.read(tensor), self.read(gradient)
        misplaced = found.misplaced(leaves.row, leaves.unit)
        for leaf in dict.fromkeys(leaves.node.flatten().tolist()):
            mine = leaves.node == leaf
            nodes = set(found.node[mine].tolist())
            if len(nodes) > 1 or misplaced[mine].any():
                raise NotElementwise("its gradients are not elementwise")
            if self._graph.value_of(node := nodes.pop()) == 0:
                continue
            # a parameter is shared by all rows, and so its gradient is a sum over them
            shared = leaves.row[mine] == EVERY
            if ((found.row[mine] == SUMMED) != shared).any():
                raise NotElementwise("its gradients are not sums over rows")
            yield leaf, node
