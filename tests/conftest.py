"""What all tests share: tiny tensors, for which more than one thread of torch only costs time."""

import os

# before torch is imported; processes that tests start inherit it
os.environ.setdefault("OMP_NUM_THREADS", "1")
