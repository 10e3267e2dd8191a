"""What all tests share: tiny tensors, for which more than one thread of torch only costs time."""

import logging
import os

# before torch is imported; processes that tests start inherit it
os.environ.setdefault("OMP_NUM_THREADS", "1")
# W&B's reports about itself come from a thread, which outlives the test
os.environ["WANDB_ERROR_REPORTING"] = "false"
# threads of libraries that outlive a test log to what it had as stderr, which is closed by then
logging.raiseExceptions = False


def pytest_runtest_setup():
    """W&B names the process of a test that uses it here; what other tests start would share it."""
    os.environ.pop("WANDB_SERVICE", None)
