"""train.py, with the seconds that training waits for W&B, written to $TIMED when it ends."""

import atexit
import json
import os
import runpy
import sys
import time
from pathlib import Path

from charlab.tracking import Tracking
from charlab.tracking.logger import RunCopy

ROOT = Path(__file__).parents[1]
spent_s: dict[str, float] = {}


def timed(owner, name):
    whole = getattr(owner, name)

    def measured(*arguments, **named):
        began_s = time.monotonic()
        try:
            return whole(*arguments, **named)
        finally:
            spent_s[name] = spent_s.get(name, 0) + time.monotonic() - began_s

    setattr(owner, name, measured)


def tell(began_s):
    # what W&B does at the exit was registered later, and is done by now
    spent_s["exit"] = time.monotonic() - began_s[0]
    Path(os.environ["TIMED"]).write_text(json.dumps(spent_s))


began = [time.monotonic()]
atexit.register(tell, began)
timed(Tracking, "__init__")
for name in ("log_metrics", "log_slowly", "log_hyperparams", "attempt_slowly", "finish"):
    timed(RunCopy, name)

sys.argv[0] = str(ROOT / "train.py")
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    began[0] = time.monotonic()
