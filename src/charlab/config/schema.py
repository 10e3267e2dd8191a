"""The typed schema of every configuration node: names, types, ranges, defaults, one line of help.

Data sets are in `schema_data`, what a run shows and keeps in `schema_output`. `conf/` holds the
differences between the choices of a group; `charlab.config.checks` enforces the ranges;
`charlab.config.compose` registers these classes with Hydra. Nothing here imports torch, so a
mistake is found before torch is loaded.
"""

from dataclasses import dataclass, field
from typing import Any, Optional

from omegaconf import MISSING, OmegaConf

from charlab.config.option import MAX_SEED, option
from charlab.config.schema_data import (
    Enwik8CharsConfig,
    Enwik8Config,
    NamesConfig,
    PythonStdlibConfig,
    TextConfig,
)
from charlab.config.schema_output import CallbacksConfig, LoggerConfig
from charlab.files import default_cache

# ------------------------------------------------------------------------------------------ model
MAX_SIZE = 1_000_000  # a product with as many rows and columns takes terabytes
INITIALISERS = ("torch", "uniform", "xavier", "orthogonal")
ENGINES = ("auto", "compiled", "eager", "reference")


@dataclass
class ModelConfig:
    """embedding -> num_layers recurrent layers of one cell -> logits."""

    cell: str = option(MISSING, "recurrent cell, a key of charlab.cells.CELLS")
    hidden_size: int = option(128, "units of each recurrent layer", ge=1, le=MAX_SIZE)
    num_layers: int = option(1, "recurrent layers stacked", ge=1, le=100)
    embedding_size: int = option(32, "width of the character embedding", ge=1, le=MAX_SIZE)
    dropout: float = option(
        0.0, "dropout on the embedding, between layers and before the logits", ge=0, lt=1
    )
    layer_norm: bool = option(False, "layer norm on the input of each layer and of the logits")
    tie_weights: bool = option(False, "logits use the embedding matrix (projected to its width)")
    init: str = option("torch", "initialiser of the recurrent weights", choices=INITIALISERS)
    match_params: Optional[float] = option(
        None, "solve hidden_size so that the model has this many parameters", gt=0, le=10**12
    )
    engine: str = option(
        "auto",
        "what runs a cell that is a step function; auto takes the fastest that can",
        choices=ENGINES,
    )


BIAS_FORMS = ("both", "input", "none")
BIAS_HELP = "biases: on both products as torch.nn, on the input only, or none"
FORGET_BIAS_HELP = "bias of the forget gate at the start, where there is one (Jozefowicz 2015)"
NONLINEARITY_HELP = "activation of the new state"


@dataclass
class RNNConfig(ModelConfig):
    nonlinearity: str = option("tanh", NONLINEARITY_HELP, choices=("tanh", "relu"))


@dataclass
class LSTMConfig(ModelConfig):
    forget_bias: float = option(1.0, FORGET_BIAS_HELP)


@dataclass
class CustomRNNConfig(RNNConfig):
    bias: str = option("both", BIAS_HELP, choices=BIAS_FORMS)


@dataclass
class CustomLSTMConfig(LSTMConfig):
    bias: str = option("both", BIAS_HELP, choices=BIAS_FORMS)


@dataclass
class MLSTMConfig(LSTMConfig):
    bias: str = option("input", BIAS_HELP, choices=BIAS_FORMS)


@dataclass
class CustomGRUConfig(ModelConfig):
    bias: str = option("none", BIAS_HELP, choices=BIAS_FORMS)
    reset: str = option(
        "before",
        "reset gate before the matrix product (Cho 2014) or after it (cuDNN, nn.GRU)",
        choices=("before", "after"),
    )
    update_gate: str = option(
        "admit",
        "z admits the new state (the notebook) or keeps the old one (nn.GRU)",
        choices=("admit", "keep"),
    )


# ---------------------------------------------------------------------------- optimizer, scheduler
@dataclass
class OptimizerConfig:
    name: str = option(MISSING, "kind of optimizer")
    lr: float = option(1e-3, "learning rate; the highest one of a schedule", gt=0)
    beta1: float = option(0.9, "decay of the mean of the gradient", ge=0, lt=1)
    beta2: float = option(0.999, "decay of the mean of its square", ge=0, lt=1)
    eps: float = option(1e-8, "added to the root of the second moment", gt=0)


@dataclass
class AdamConfig(OptimizerConfig):
    """Adam (Kingma & Ba 2015)."""


@dataclass
class AdamWConfig(OptimizerConfig):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    weight_decay: float = option(
        0.01, "decoupled decay of matrices; biases and norms have none", ge=0
    )


@dataclass
class SchedulerConfig:
    name: str = option(MISSING, "kind of schedule, over the budget the run really has")


@dataclass
class ConstantConfig(SchedulerConfig):
    """The learning rate stays as it is."""


@dataclass
class CosineConfig(SchedulerConfig):
    """Linear warm-up, then half a cosine down to final_lr_fraction of the peak."""

    warmup_fraction: float = option(0.02, "part of the steps that warm up", ge=0, lt=1)
    final_lr_fraction: float = option(0.05, "last learning rate / highest", ge=0, le=1)


@dataclass
class OneCycleConfig(SchedulerConfig):
    """One-cycle (Smith & Topin 2018): cosine up to the peak, then cosine down to nearly nothing."""

    warmup_fraction: float = option(0.1, "part of the steps that go up", gt=0, lt=1)
    initial_lr_fraction: float = option(0.04, "first learning rate / highest", gt=0, le=1)
    final_lr_fraction: float = option(1e-4, "last learning rate / highest", gt=0, le=1)


# ---------------------------------------------------------------------------------------- trainer
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")


@dataclass
class TrainerConfig:
    max_epochs: Optional[int] = option(None, "stop after this many passes over train", ge=1)
    max_steps: Optional[int] = option(None, "stop after this many optimizer steps", ge=1)
    accelerator: str = option("auto", "where to run", choices=("auto", "cpu", "gpu"))
    devices: int = option(1, "processes, one a device", ge=1, le=1000)
    precision: str = option("32-true", "arithmetic of the forward and backward", choices=PRECISIONS)
    gradient_clip: float = option(1.0, "largest norm of the gradient; 0 leaves it alone", ge=0)
    val_every_n_steps: Optional[int] = option(
        None, "validate every so many steps; null validates after each epoch", ge=1
    )
    log_every_n_steps: int = option(50, "steps between two rows of training metrics", ge=1)
    deterministic: bool = option(True, "only algorithms that repeat bit for bit")
    detect_anomaly: bool = option(False, "name the operation that made a NaN (slow)")
    num_threads: Optional[int] = option(
        None, "CPU threads; null takes one for small steps, all for others", ge=1, le=1000
    )
    test: bool = option(True, "score the best checkpoint on the test split when training ends")


# ------------------------------------------------------------------------------------------- root
OmegaConf.register_new_resolver("charlab.cache", lambda: str(default_cache()), replace=True)


@dataclass
class PathsConfig:
    runs: str = option("runs", "folder of the run directories")
    cache: str = option(
        "${charlab.cache:}", "folder of what is made once: floors, texts fetched or unpacked"
    )


@dataclass
class Config:
    """The whole configuration. Its groups are filled from conf/ by the defaults list."""

    seed: int = option(0, "seed of the weights, the data order and dropout", ge=0, le=MAX_SEED)
    group: str = option("${data.name}", "folder under paths.runs, and the W&B group")
    resume: str = option(
        "auto",
        "auto goes on with an interrupted run of this configuration if there is one, never begins "
        "another, must fails without one",
        choices=("auto", "never", "must"),
    )
    model: Any = MISSING
    data: Any = MISSING
    optimizer: Any = MISSING
    scheduler: Any = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    callbacks: CallbacksConfig = field(default_factory=CallbacksConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)


# Every node's class under the name that conf/ uses for it (`/schema/model/gru@_here_`). A cell
# that is not listed has no options of its own and takes model/base.
SCHEMAS: dict[str, type] = {
    "model/base": ModelConfig,
    "model/rnn": RNNConfig,
    "model/lstm": LSTMConfig,
    "model/custom_gru": CustomGRUConfig,
    "model/custom_rnn": CustomRNNConfig,
    "model/custom_lstm": CustomLSTMConfig,
    "model/mlstm": MLSTMConfig,
    "data/names": NamesConfig,
    "data/enwik8": Enwik8Config,
    "data/enwik8_chars": Enwik8CharsConfig,
    "data/text": TextConfig,
    "data/python_stdlib": PythonStdlibConfig,
    "optimizer/adam": AdamConfig,
    "optimizer/adamw": AdamWConfig,
    "scheduler/constant": ConstantConfig,
    "scheduler/cosine": CosineConfig,
    "scheduler/one_cycle": OneCycleConfig,
    "trainer/base": TrainerConfig,
    "logger/base": LoggerConfig,
    "callbacks/base": CallbacksConfig,
}
