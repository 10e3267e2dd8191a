"""The best checkpoint of a run as an artifact of W&B."""

from collections.abc import Mapping

import wandb

from charlab.checkpoint import BEST
from charlab.runs import Run


def checkpoint_artifact(run: Run, scores: Mapping[str, float]) -> wandb.Artifact | None:
    """best.ckpt, with what it takes to judge it; None where the run has none.

    Named after the run directory, of type "model".
    """
    path = run.checkpoints / BEST
    if not path.exists():
        return None
    named = {name: score for name, score in scores.items() if "/" in name}
    record = run.record
    artifact = wandb.Artifact(
        run.path.name,
        type="model",
        description="the best checkpoint on validation",
        metadata={
            **named,
            "step": scores["best_step"],
            "config_hash": record["config_hash"],
            "code": record["code"],
            "data_fingerprint": record["data"]["fingerprint"],
            "num_params": record["model"]["num_params"],
        },
    )
    # nobody writes to it any more: no copies in the user's home
    artifact.add_file(str(path), policy="immutable", skip_cache=True)
    return artifact
