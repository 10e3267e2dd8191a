"""charlab: which recurrent cell is better, on the same data, budget and seeds?

Importing this package imports nothing else: torch, Lightning and W&B load where they are used.
"""

__version__ = "0.1.0"
