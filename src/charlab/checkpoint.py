"""Checkpoints: plain containers and tensors only, so a stranger's file runs no code.

A checkpoint is on the disk whole or not at all, and says when it is damaged: the comment at the end
of its zip archive is the sha256 of what comes before, which torch itself does not check.
"""

import hashlib
import os
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from charlab.errors import CannotWrite, UsageError
from charlab.model import CharModel
from charlab.rows import sync_folder

BEST, LAST = "best.ckpt", "last.ckpt"
# the last one but one, until the run is finished
PREVIOUS = "previous.ckpt"

MARK = b"charlab sha256 "
TRAILER_BYTES = len(MARK) + 64
# of an archive's comment, the last thing before it
LENGTH_BYTES = 2


def read_checkpoint(path: Path, *, sealed: bool = False) -> dict[str, Any]:
    """The plain containers and tensors of a checkpoint; no code in it is run.

    sealed  refuse one without the sum that charlab writes, as a damaged one may have lost it

    Raises UsageError where there is none, or a damaged one.
    """
    try:
        raw = path.read_bytes()
        _check_sum(raw, sealed)
        with warnings.catch_warnings():
            # of a file that is none of ours, which is said below
            warnings.simplefilter("ignore", UserWarning)
            checkpoint = torch.load(BytesIO(raw), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, UnpicklingError) as error:
        raise UsageError(
            f"{path} cannot be read",
            expected="a checkpoint of charlab",
            got=_reason(path, error),
            hint=instead_of(path),
        ) from error
    if not isinstance(checkpoint, dict) or "charlab" not in checkpoint:
        raise UsageError(
            f"{path} is not a checkpoint of charlab",
            expected="one that charlab wrote, with its vocabulary and its configuration",
            got=f"{type(checkpoint).__name__} of something else",
            hint=instead_of(path),
        )
    return checkpoint


def _check_sum(raw: bytes, sealed: bool) -> None:
    content, trailer = raw[:-TRAILER_BYTES], raw[-TRAILER_BYTES:]
    if trailer.startswith(MARK):
        if hashlib.sha256(content).hexdigest().encode() != trailer.removeprefix(MARK):
            raise ValueError("damaged: it is not what was written")
    elif sealed:
        raise ValueError("damaged: it does not end as it was written")


def _reason(path: Path, error: Exception) -> str:
    if not path.exists():
        return "no such file"
    return next(iter(str(error).splitlines()), f"{path.stat().st_size} bytes")


def instead_of(path: Path) -> str:
    """What to do without this checkpoint."""
    other = path.with_name(LAST if path.name == BEST else BEST)
    if other.exists():
        return f"--checkpoint {other.stem}"
    if path.exists():
        return "train it again: there is no other"
    return "a run that has them: this one has none, or none yet"


def write_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Replace a checkpoint; last.ckpt becomes previous.ckpt. When this returns it is on the disk.

    Whatever happens meanwhile, there is a whole one: the old or the new. Raises CannotWrite where
    it cannot be written.
    """
    buffer = BytesIO()
    torch.save(checkpoint, buffer)
    archive = buffer.getvalue()
    assert archive.endswith(bytes(LENGTH_BYTES))  # torch gives its archives no comment
    content = archive[:-LENGTH_BYTES] + TRAILER_BYTES.to_bytes(LENGTH_BYTES, "little")
    new = path.with_name(f"{path.name}.new")
    try:
        with new.open("wb") as file:
            file.write(content + MARK + hashlib.sha256(content).hexdigest().encode())
            file.flush()
            os.fsync(file.fileno())
        if path.name == LAST and path.exists():
            path.replace(path.with_name(PREVIOUS))
        new.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise CannotWrite(path, error) from error


def settle_last(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """(the checkpoint that training goes on from, what there is to say of it).

    It is last.ckpt afterwards, the one before it where that is damaged. None where there is none,
    or none that is whole.
    """
    notes = []
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            checkpoint = read_checkpoint(path, sealed=True)
        except UsageError as error:
            notes.append(f"{path.name} is {error.got or error.what}")
            continue
        path.replace(folder / LAST)
        return checkpoint, "; ".join(notes)
    return None, "; ".join(notes)


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
