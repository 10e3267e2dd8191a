"""Weights & Biases: a copy of the run directory on a dashboard.

Nothing here asks, waits long, or needs an account: without credentials, or where the server
cannot be reached in automatic mode, the run is kept offline in its run directory. Nothing that the
server or W&B's own process does ends the training.

Besides this package only `charlab.wandb_report` imports wandb.
"""

from charlab.tracking.mode import resolve_mode
from charlab.tracking.tracking import Tracking

__all__ = ["Tracking", "resolve_mode"]
