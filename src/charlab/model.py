"""The character model: embedding -> stack of recurrent layers -> logits.

Knows layers by their contract only (`charlab.cells.base.Layer`); which cell they hold, and how it
is run, is settled in `build_model`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Generator, Tensor, nn

from charlab.cells.base import Layer
from charlab.cells.initialisers import initialise
from charlab.config.schema import ModelConfig
from charlab.engine import build_layer
from charlab.engine.reference import CellLayer
from charlab.errors import UsageError
from charlab.types import ModelState

TORCH = "torch"  # what runs torch's own layers


@final
class CharModel(nn.Module):
    """Logits of the next symbol, for every step of a chunk.

    dropout     on the embedded input, between layers, and on the input of the logits
    layer_norm  on the input of every layer and of the logits: the same for every cell
    tie_weights logits = E P y with the embedding E [V, E]; P [E, H] only where E != H
                (Press & Wolf 2017)
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        vocab_size: int,
        embedding_size: int,
        *,
        dropout: float,
        layer_norm: bool,
        tie_weights: bool,
    ) -> None:
        super().__init__()
        hidden_size = layers[-1].hidden_size
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.layers: Iterable[Layer] = cast(Iterable[Layer], nn.ModuleList(layers))
        self.engine: str | None = None  # what runs the layers, once it is settled
        self.dropout = nn.Dropout(dropout)
        sizes = [embedding_size] + [layer.hidden_size for layer in layers]
        self.norms = nn.ModuleList(
            nn.LayerNorm(size) if layer_norm else nn.Identity() for size in sizes
        )
        self.has_norms = layer_norm
        self.has_projection = narrow = tie_weights and embedding_size != hidden_size
        self.projection = (
            nn.Linear(hidden_size, embedding_size, bias=False) if narrow else nn.Identity()
        )
        self.head = nn.Linear(embedding_size if narrow else hidden_size, vocab_size)
        if tie_weights:
            self.head.weight = self.embedding.weight

    def initial_state(self, batch_size: int) -> ModelState:
        """The state before any input, a tuple with one entry a layer."""
        return tuple(layer.initial_state(batch_size) for layer in self.layers)

    def forget(self, state: ModelState, reset_B: Tensor) -> ModelState:
        """The state with the rows where reset_B is true set back to the initial one."""
        fresh = self.initial_state(len(reset_B))
        return tuple(
            type(old)(*(torch.where(reset_B[:, None], new, kept) for new, kept in zip(*pair)))
            for old, pair in zip(state, zip(fresh, state, strict=True), strict=True)
        )

    def forward(self, tokens_TB: Tensor, state: ModelState) -> tuple[Tensor, ModelState]:
        """Logits [T, B, V] and the state after the chunk."""
        y_TBH = self.embedding(tokens_TB)
        after = []
        for number, (layer, layer_state) in enumerate(zip(self.layers, state)):
            y_TBH, layer_state = layer(self.prepared(y_TBH, number), layer_state)
            after.append(layer_state)
        return self.logits(self.prepared(y_TBH, len(after))), tuple(after)

    def stepper(self, state: ModelState) -> Callable[[Tensor], Tensor]:
        """A function from ids [B] to logits [B, V] that goes on from the state, a step a call.

        Faster than calling the model; as `Layer.stepper`, without autograd.
        """
        steps = [layer.stepper(part) for layer, part in zip(self.layers, state, strict=True)]

        def step(ids_B: Tensor) -> Tensor:
            y_BH = self.embedding(ids_B)
            for number, one in enumerate(steps):
                y_BH = one(self.prepared(y_BH, number))
            return self.logits(self.prepared(y_BH, len(steps)))

        return step

    def logits(self, y_TBH: Tensor) -> Tensor:
        """Logits from the prepared outputs of the last layer."""
        if self.has_projection:
            y_TBH = self.projection(y_TBH)
        return cast(Tensor, self.head(y_TBH))

    def prepared(self, y_TBH: Tensor, number: int) -> Tensor:
        """The input of layer `number`, or of the logits where it is the number of layers."""
        # what does nothing is not called: a step for one character would take notably longer
        if self.has_norms:
            y_TBH = self.norms[number](y_TBH)
        return self.dropout(y_TBH) if self.training else y_TBH

    @property
    def num_params(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def state_size(self) -> int:
        """Numbers that the model remembers between two steps, for one row."""
        with torch.no_grad():
            return sum(part.numel() for state in self.initial_state(1) for part in state)

    def settle(self, device_type: str, dtype: torch.dtype) -> list[str]:
        """Prepare what runs the cells there, so that `engine` names it; what there is to say of it.

        Takes seconds where code has to be compiled. Raises UsageError where model.engine asks for
        what cannot be had.
        """
        found = [
            layer.settle(device_type, dtype)
            for layer in self.layers
            if isinstance(layer, CellLayer)
        ]
        self.engine = ", ".join(dict.fromkeys(name for name, _ in found)) or TORCH
        return list(dict.fromkeys(notice for _, notice in found if notice is not None))

    @property
    def record(self) -> dict[str, Any]:
        """Its size, and what runs it, as plain entries for run.json."""
        return {
            "num_params": self.num_params,
            "state_size": self.state_size,
            "hidden_size": [layer.hidden_size for layer in self.layers][-1],
            "num_layers": sum(1 for _ in self.layers),
            "engine": self.engine,
        }

    @property
    def metrics(self) -> dict[str, float]:
        """Its size by metric name."""
        sizes = ((name, value) for name, value in self.record.items() if name != "engine")
        return {f"model/{name}": float(value) for name, value in sizes}

    @torch.no_grad()
    def initialise(self, name: str, seed: int) -> None:
        """Write every parameter as a function of (name, seed) alone.

        Embedding N(0, 1) as torch.nn has it, N(0, 1/sqrt(E)) where the logits share it, so that
        they start near zero; head U(+-1/sqrt(fan_in)) with bias 0; layer norms the identity; layers
        by `cells.initialisers`.
        """
        generator = torch.Generator().manual_seed(seed)
        tied = self.head.weight is self.embedding.weight
        std = self.embedding.embedding_dim**-0.5 if tied else 1.0
        nn.init.normal_(self.embedding.weight, std=std, generator=generator)
        for norm in self.norms:
            if isinstance(norm, nn.LayerNorm):
                norm.reset_parameters()
        for layer in self.layers:
            initialise(layer, name, generator)
        if isinstance(self.projection, nn.Linear):
            _fan_in_uniform(self.projection.weight, generator)
        if not tied:
            _fan_in_uniform(self.head.weight, generator)
        nn.init.zeros_(self.head.bias)


def _fan_in_uniform(weight: Tensor, generator: Generator) -> None:
    bound = weight.shape[1] ** -0.5
    nn.init.uniform_(weight, -bound, bound, generator)


def build_model(
    config: ModelConfig, vocab_size: int, seed: int, cache: Path | None = None
) -> CharModel:
    """The model of a configuration, its weights drawn from the seed.

    cache: folder of compiled code; None: the one that paths.cache is by default.
    Raises UsageError where no hidden size comes near `model.match_params`.
    """
    hidden_size = config.hidden_size
    if config.match_params is not None:
        hidden_size = solve_hidden_size(config, vocab_size, round(config.match_params))
    with torch.random.fork_rng(devices=[]):  # torch's constructors draw weights of their own
        model = _assemble(config, vocab_size, hidden_size, cache)
    model.initialise(config.init, seed)
    return model


def solve_hidden_size(config: ModelConfig, vocab_size: int, num_params: int) -> int:
    """The hidden size whose model has the number of parameters nearest to num_params."""

    def count(hidden_size: int) -> int:
        return count_params(config, vocab_size, hidden_size)

    def rising(hidden_size: int) -> int:
        # tied weights need no projection where hidden_size == embedding_size: a dip in the count
        missing = hidden_size**2 if config.tie_weights else 0
        return count(hidden_size) + (missing if hidden_size == config.embedding_size else 0)

    smallest = min(count(1), count(config.embedding_size))
    if num_params < smallest:
        raise UsageError(
            f"model.match_params={num_params:,} cannot be met",
            option="model.match_params",
            expected=f"at least {smallest:,}: what one hidden unit already takes "
            f"with embedding_size={config.embedding_size} and {vocab_size} symbols",
            got=f"{num_params:,}",
            hint="a larger number, or a smaller model.embedding_size",
        )
    low, high = 1, 2
    while rising(high) < num_params:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if rising(middle) < num_params else (low, middle)
    candidates = (low, high, config.embedding_size)
    return min(candidates, key=lambda size: abs(count(size) - num_params))


def planned_params(config: ModelConfig, vocab_size: int) -> int | None:
    """The parameters that the model of a configuration is to have.

    None where its cell reads numbers while it is made, so that it cannot be counted before.
    """
    if config.match_params is not None:
        return round(config.match_params)
    try:
        return count_params(config, vocab_size, config.hidden_size)
    except UsageError:
        return None


def count_params(config: ModelConfig, vocab_size: int, hidden_size: int) -> int:
    """Parameters of the model with that hidden size.

    Counts those of real models without storage, so it holds for every cell and option. Raises
    UsageError for a cell that cannot be made without.
    """

    def count(num_layers: int) -> int:
        of_few = dataclasses.replace(config, num_layers=num_layers)
        with torch.device("meta"):
            return _assemble(of_few, vocab_size, hidden_size).num_params

    try:
        if config.num_layers <= 2:
            return count(config.num_layers)
        # all layers but the first are alike
        return count(1) + (config.num_layers - 1) * (count(2) - count(1))
    except RuntimeError as error:
        raise UsageError(
            f"the parameters of model.cell={config.cell} cannot be counted before it is made",
            expected="a constructor that reads no value of a tensor",
            got=str(error).partition("\n")[0],
            hint="model.hidden_size=N in the place of model.match_params",
            option="model.match_params",
        ) from error


def _assemble(
    config: ModelConfig, vocab_size: int, hidden_size: int, cache: Path | None = None
) -> CharModel:
    inputs = [config.embedding_size] + [hidden_size] * (config.num_layers - 1)
    options = cell_options(config)
    layers = [
        build_layer(config.cell, size, hidden_size, options, config.engine, cache)
        for size in inputs
    ]
    return CharModel(
        layers,
        vocab_size,
        config.embedding_size,
        dropout=config.dropout,
        layer_norm=config.layer_norm,
        tie_weights=config.tie_weights,
    )


def cell_options(config: ModelConfig) -> dict[str, Any]:
    """The options that a cell has beyond those of every model: its constructor's keywords."""
    common = {field.name for field in dataclasses.fields(ModelConfig)}
    return {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name not in common
    }
