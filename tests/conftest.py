"""What all tests share: tiny tensors, for which more than one thread of torch only costs time."""

import os

# before torch is imported; processes that tests start inherit it
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_runtest_setup():
    """W&B names the process of a test that uses it here; what other tests start would share it."""
    os.environ.pop("WANDB_SERVICE", None)
