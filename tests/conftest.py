"""What all tests share: tiny tensors, for which more than one thread of torch only costs time.

What each run or command line of a test would do alike is done once, or for a few.
"""

import logging
import os
import sys
from pathlib import Path

import pytest

# before torch is imported; processes that tests start inherit it
os.environ.setdefault("OMP_NUM_THREADS", "1")
# W&B's reports about itself come from a thread, which outlives the test
os.environ["WANDB_ERROR_REPORTING"] = "false"
# threads of libraries that outlive a test log to what it had as stderr, which is closed by then
logging.raiseExceptions = False

CONF = Path(__file__).parents[1] / "conf"


def pytest_runtest_setup():
    """W&B names the process of a test that uses it here; what other tests start would share it."""
    os.environ.pop("WANDB_SERVICE", None)


@pytest.fixture(scope="session", autouse=True)
def few_samples():
    """At the end of a run in this process: all 5000 are half the time of a tiny run."""
    if "torch" not in sys.modules:  # tests of what is light do not wait for it to be loaded
        yield
        return
    from charlab import sample_quality

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_quality, "QUALITY_SAMPLES", 200)
        yield


@pytest.fixture(scope="session", autouse=True)
def composed_once():
    """Composers of the shipped conf/ share what choices lead to, as the jobs of a sweep do."""
    from charlab.config.compose import Composer
    from charlab.files import default_cache

    compose, found = Composer._chosen, {}

    def chosen(composer, choices):
        if composer.folders == [CONF]:
            # the one thing of the environment that is in it
            composer._pickles = found.setdefault((composer.name, default_cache()), {})
        return compose(composer, choices)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Composer, "_chosen", chosen)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_fsync():
    """Files of the tests need not outlive the machine; each of some 30 a run takes milliseconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield
