"""Reading checkpoints: plain containers and tensors only, so a stranger's file runs no code."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from charlab.errors import UsageError
from charlab.model import CharModel


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The plain containers and tensors of a checkpoint; no code in it is run."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, UnpicklingError) as error:
        raise UsageError(
            f"{path} cannot be read",
            expected="a checkpoint of charlab",
            got=_reason(path, error),
            hint="a run has checkpoints once its first validation is done",
        ) from error
    if not isinstance(checkpoint, dict) or "charlab" not in checkpoint:
        raise UsageError(f"{path} is not a checkpoint of charlab")
    return checkpoint


def _reason(path: Path, error: Exception) -> str:
    if not path.exists():
        return "no such file"
    return next(iter(str(error).splitlines()), f"{path.stat().st_size} bytes")


def load_weights(model: CharModel, checkpoint: dict[str, Any], run: Path) -> None:
    """Copy the weights of a checkpoint into the model."""
    weights = {
        name.removeprefix("model."): tensor
        for name, tensor in checkpoint["state_dict"].items()
        if name.startswith("model.")
    }
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UsageError(
            f"the weights in {run} do not fit its model",
            expected="the model that config.yaml (and the overrides) describe",
            got=str(error).splitlines()[1].strip(),
            hint="leave the model.* options as they were in training",
        ) from error
