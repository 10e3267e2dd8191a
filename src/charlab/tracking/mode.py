"""Whether a run goes to W&B's server, into files, or nowhere. Asks nobody, waits for nothing."""

import os
from typing import Literal

import wandb
from wandb.errors import AuthenticationError
from wandb.errors import UsageError as WandbUsageError

from charlab.errors import UsageError
from charlab.tracking.service import use_own_service

Mode = Literal["online", "offline", "disabled"]
MODES: tuple[Mode, ...] = ("online", "offline", "disabled")


def resolve_mode(asked: str, before: str | None = None) -> Mode:
    """What "auto" means here: WANDB_MODE if set, else online with credentials, else offline.

    before  the mode of the run until now, where it goes on: by itself one that went on offline
            stays so, as its parts can only be sent in their order
    Raises UsageError for an unknown WANDB_MODE, and for online without credentials: W&B itself
    would ask for them.
    """
    wanted = os.environ.get("WANDB_MODE", "auto") if asked == "auto" else asked
    if wanted not in ("auto", *MODES):
        raise UsageError(
            f"WANDB_MODE={wanted} is not a mode",
            expected=f"one of {', '.join(MODES)}, or the variable unset",
            got=wanted,
            option="logger.wandb.mode",
        )
    if wanted == "disabled":
        return "disabled"
    if wanted == "offline" or (wanted == "auto" and before == "offline"):
        return "offline"
    if has_credentials():
        return "online"
    if wanted == "online":
        raise UsageError(
            "W&B cannot be online without credentials",
            expected="a key in WANDB_API_KEY, or from `wandb login`",
            got="neither",
            hint="logger.wandb.mode=auto goes offline by itself",
            option="logger.wandb.mode",
        )
    return "offline"


def has_credentials() -> bool:
    """True where W&B finds a key."""
    use_own_service()
    # to say whose it is, it would ask the server, and wait 5 s for one that is dead
    wandb.setup(wandb.Settings(silent=True))
    try:
        return bool(wandb.login(prompt=False, verify=False))
    except (AuthenticationError, WandbUsageError):
        return False
