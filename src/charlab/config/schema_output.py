"""The typed schema of what a run shows and keeps: loggers and callbacks."""

from dataclasses import dataclass, field
from typing import Optional

from charlab.config.option import MAX_SEED, option


@dataclass
class WandbConfig:
    mode: str = option(
        "auto",
        "auto is online with credentials and offline without; nothing is ever asked",
        choices=("auto", "online", "offline", "disabled"),
    )
    project: str = option("charlab", "W&B project")
    entity: Optional[str] = option(None, "W&B team or user; null is the account's own")
    tags: list[str] = option([], "W&B tags")
    images: bool = option(True, "also send the plots that are made at the end")
    checkpoint: bool = option(False, "also send the best checkpoint at the end, as an artifact")
    histograms: str = option(
        "none",
        "also send histograms of these, of each tensor",
        choices=("none", "gradients", "parameters", "all"),
    )
    histograms_every_n_steps: int = option(500, "steps between two sets of histograms", ge=1)
    timeout_s: float = option(
        5.0,
        "most seconds to wait for the server at the start, and again at the end",
        gt=0,
        le=3600,
    )


@dataclass
class CSVConfig:
    enabled: bool = option(False, "also write Lightning's csv/metrics.csv")


@dataclass
class TensorBoardConfig:
    enabled: bool = option(False, "also write TensorBoard event files (the extra `tensorboard`)")


@dataclass
class LoggerConfig:
    wandb: WandbConfig = field(default_factory=WandbConfig)
    csv: CSVConfig = field(default_factory=CSVConfig)
    tensorboard: TensorBoardConfig = field(default_factory=TensorBoardConfig)


@dataclass
class SamplesConfig:
    enabled: bool = option(True, "draw samples while training")
    every_n_steps: int = option(500, "steps between two draws", ge=1)
    prompts: list[str] = option(
        ["", " Trump"], "texts to continue; an empty one starts from nothing", filled=True
    )
    temperatures: list[float] = option(
        [0.5, 1.0], "0 takes the likeliest character", ge=0, filled=True
    )
    num_samples: int = option(4, "samples of each prompt at each temperature", ge=1)
    max_length: int = option(100, "characters after which a sample is cut", ge=1)
    long_every_n_steps: Optional[int] = option(
        None, "steps between two draws of long_max_length; null draws none", ge=1
    )
    long_max_length: int = option(300, "characters after which a long sample is cut", ge=1)
    top_k: Optional[int] = option(None, "draw among the k likeliest characters", ge=1)
    top_p: Optional[float] = option(
        None, "draw among the likeliest that hold this mass", gt=0, le=1
    )
    seed: int = option(
        0, "seed of the generator that samples have for themselves", ge=0, le=MAX_SEED
    )
    on_screen: int = option(4, "samples of each prompt shown in the terminal", ge=0)


@dataclass
class DiagnosticsConfig:
    enabled: bool = option(
        False, "measure at validations gradients over time, gates, and loss by position"
    )
    every_n_steps: int = option(1, "fewest steps from one measurement to the next", ge=1)
    num_rows: int = option(64, "names or windows of validation that are measured on", ge=1)
    num_steps: int = option(64, "most steps of each", ge=2)


@dataclass
class CheckpointConfig:
    enabled: bool = option(True, "keep the last checkpoint and the best on validation")
    every_s: Optional[float] = option(
        60.0,
        "most seconds between two saves, beside those around a validation; null for no limit",
        ge=0,
    )
    every_n_steps: Optional[int] = option(None, "steps between two saves; null for none", ge=1)


@dataclass
class EarlyStoppingConfig:
    enabled: bool = option(False, "stop when the validation score no longer falls")
    patience: int = option(5, "validations without progress before it stops", ge=1)
    min_delta: float = option(0.0, "bits per character that count as progress", ge=0)


@dataclass
class DivergenceConfig:
    enabled: bool = option(True, "stop when the loss is NaN, infinite or far worse than guessing")
    max_ratio: float = option(3.0, "most the loss may be, in multiples of a uniform guess", gt=1)


@dataclass
class ProgressConfig:
    enabled: bool = option(True, "show a live bar (a line now and then where there is no terminal)")
    refresh_s: float = option(0.25, "seconds between two redraws", gt=0)
    epochs: bool = option(False, "a line for each epoch that ends: its mean loss, its seconds")


@dataclass
class CallbacksConfig:
    samples: SamplesConfig = field(default_factory=SamplesConfig)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    divergence: DivergenceConfig = field(default_factory=DivergenceConfig)
    progress: ProgressConfig = field(default_factory=ProgressConfig)
