"""What a run has no picture of."""

from typing import final


@final
class Missing(Exception):
    """There is nothing to draw: which file or entry of the run directory is not there, and why."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
