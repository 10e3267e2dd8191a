"""Sweeps on a SLURM cluster, through submitit."""
