"""Train one model, or several with -m. `python train.py --help` says how."""

from collections.abc import Sequence

from omegaconf import DictConfig

from charlab.config.entry import run

# Shell completion asks for the text @hydra.main in a script before it helps with its options.


def train(config: DictConfig, overrides: Sequence[str]) -> None:
    import torch

    print("ok", torch.__version__)


if __name__ == "__main__":
    run(train, __file__)
