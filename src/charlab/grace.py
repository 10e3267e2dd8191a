"""Seconds that processes have to save and end once they are to. What contains others has longer."""

# a rank of a run: W&B takes up to 10 s for its part, Python a few on a busy machine
RANK_S = 20.0
# a job of a sweep, all its ranks
JOB_S = 22.0
# a process whose parent is no more, and what it has started
ORPHAN_S = 30.0
