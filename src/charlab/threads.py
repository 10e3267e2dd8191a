"""How many threads of the CPU torch uses."""

import torch

# Below this, the matrices of a step ([rows, hidden] times [hidden, gates]) are too small to share:
# a second thread gains nothing on an idle machine, and on a busy one its waiting costs a lot.
SHARED_FROM = 2**14


def choose_threads(num_rows: int, hidden_size: int, asked: int | None) -> None:
    """As many as asked for; without a wish one for small steps, and all there are for others."""
    is_small = num_rows * hidden_size < SHARED_FROM
    torch.set_num_threads(asked or (1 if is_small else torch.get_num_threads()))
