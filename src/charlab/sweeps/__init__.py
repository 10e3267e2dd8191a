"""Sweeps: from a definition to jobs, and from jobs to processes, one each. Imports no torch."""
