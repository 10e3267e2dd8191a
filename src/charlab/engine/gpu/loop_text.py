"""What Triton source of kernels that run all time steps in one launch is written with.

Each program of the grid owns BM rows of the batch. It loads the recurrent weights once, before the
loop; its state stays in registers. Hidden units are cut into tiles whose widths are powers of two,
as Triton wants them; columns beyond H are nought wherever a product reads them.

Arrays that have a value a step are given as at the first step that the loop comes to, which is
T - 1 in the backward. weight g is [blocks * H, H]; first p and final p are parts of the state
before and after all steps; all others are those of `charlab.engine.gpu.pass_codegen`.
"""

from collections.abc import Callable
from functools import partial
from typing import final

from charlab.engine.gpu.expressions import Lines
from charlab.engine.gpu.pass_codegen import Kernel
from charlab.engine.gpu.plan import Plan


def tile_widths(hidden_size: int) -> tuple[int, ...]:
    """One power of two from 16 on, or two of them whose sum is nearer to the hidden size.

    A second tile is at least 32 wide: with 16, eight warps have too little to share, and the
    compiler was seen to keep weights in registers and to spill them.
    """
    first = max(16, 1 << (hidden_size.bit_length() - 1))
    rest = hidden_size - first
    if rest <= 0:
        return (first,)
    second = max(32, 1 << (rest - 1).bit_length())
    return (2 * first,) if second >= first else (first, second)


@final
class LoopWriter:
    """The text of one kernel. load: of a tile and a node, the expression as of `Lines`."""

    def __init__(
        self, plan: Plan, hidden_size: int, load: Callable[[int, int], str | None]
    ) -> None:
        self.plan = plan
        self.size = hidden_size
        self.widths = tile_widths(hidden_size)
        self.tiles = range(len(self.widths))
        self.head: list[str] = []
        self.body: list[str] = []
        self.tail: list[str] = []
        self.arguments: dict[str, None] = {}
        self.steps: dict[str, int] = {}  # blocks of arrays that have a value a step
        self.lines = [
            Lines(plan.program, self.body, partial(load, j), self.shape(j), f"_{j}")
            for j in self.tiles
        ]
        for j, width in enumerate(self.widths):
            self.head += [
                f"u{j} = {sum(self.widths[:j])} + tl.arange(0, {width})",
                f"inside{j} = (rows < B)[:, None] & (u{j} < H)[None, :]",
            ]

    def shape(self, tile: int) -> str:
        return f"(BM, {self.widths[tile]})"

    def address(self, array: str, tile: int, blocks: int = 1, block: int = 0) -> str:
        self.arguments[array] = None
        place = f"at{blocks}_{tile}"
        line = f"{place} = rows[:, None] * ({blocks} * H) + u{tile}[None, :]"
        if line not in self.head:
            self.head.append(line)
        return f"{array} + {place}" + f" + {block} * H" * (block > 0)

    def read(self, array: str, tile: int, blocks: int = 1, block: int = 0, also: str = "") -> str:
        """A block of an array; nought outside, and where the condition `also` does not hold."""
        address = self.address(array, tile, blocks, block)
        return f"tl.load({address}, mask=inside{tile}{also}, other=0.0)"

    def read_step(self, array: str, tile: int, blocks: int, block: int, also: str = "") -> str:
        self.steps[array] = blocks
        return self.read(array, tile, blocks, block, also)

    def store_step(self, array: str, tile: int, blocks: int, block: int, value: str) -> None:
        self.steps[array] = blocks
        address = self.address(array, tile, blocks, block)
        self.body.append(f"tl.store({address}, {value}, mask=inside{tile})")

    def parameter(self, op: str, number: int, tile: int, block: int = 0) -> str:
        """A vector or scalar of the cell, loaded before the loop."""
        array, name = f"other{number}", f"other{number}_{block}_{tile}"
        self.arguments[array] = None
        loaded = f"tl.load({array})"
        if op == "vector":
            unit = f"{block} * H + u{tile}"
            loaded = f"tl.load({array} + {unit}, mask=u{tile} < H, other=0.0)[None, :]"
        line = f"{name} = {loaded} + tl.full({self.shape(tile)}, 0.0, tl.float32)"
        if line not in self.head:
            self.head.append(line)
        return name

    def load_weights(self, number: int, transposed: bool) -> None:
        """w{group}_{block}_{i}_{j}: from inputs of tile i to outputs of tile j, or transposed."""
        self.arguments[f"weight{number}"] = None
        for block in range(self.plan.groups[number].blocks):
            for i in self.tiles:
                for j in self.tiles:
                    out, into = (f"u{i}[:, None]", f"u{j}[None, :]")
                    if transposed:
                        out, into = (f"u{j}[None, :]", f"u{i}[:, None]")
                    self.head.append(
                        f"w{number}_{block}_{i}_{j} = tl.load("
                        f"weight{number} + ({block} * H + {out}) * H + {into}, "
                        f"mask=({out} < H) & ({into} < H), other=0.0).to(TYPE)"
                    )

    def operand(self, name: str, value: str, tile: int) -> str:
        """The value as a product takes it."""
        if sum(self.widths[: tile + 1]) > self.size:
            value = f"tl.where(u{tile}[None, :] < H, {value}, 0.0)"
        self.body.append(f"{name} = operand({value}, NARROW, TYPE)")
        return name

    def dot(self, name: str, pairs: list[tuple[str, str]]) -> None:
        """The sum of products of (operand, weight)."""
        for position, (a, w) in enumerate(pairs):
            so_far = f"{name}, " if position else ""
            self.body.append(f"{name} = tl.dot({a}, {w}, {so_far}input_precision=PRECISION)")

    def kernel(self, name: str, forwards: bool) -> Kernel:
        arguments = (*self.arguments,)
        constants = ("H", "BM", "NARROW", "TYPE", "PRECISION")
        head = ", ".join((*arguments, "T", "B", *(f"{one}: tl.constexpr" for one in constants)))
        sign = "+" if forwards else "-"
        move = [f"{array} {sign}= B * ({blocks} * H)" for array, blocks in self.steps.items()]
        lines = [
            "rows = tl.program_id(0) * BM + tl.arange(0, BM)",
            *self.head,
            "for step in range(T):",
            *("    " + line for line in (*self.body, *move)),
            *self.tail,
        ]
        body = "\n    ".join(("", *lines))
        source = f'\n\n@triton.jit(do_not_specialize=["T", "B"])\ndef {name}({head}):{body}\n'
        return Kernel(name, source, arguments)
