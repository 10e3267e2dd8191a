"""How a model uses its memory: gradients over time, gates, the loss after a reset.

Measurements of a model on a small batch, tensors in, numbers out. When they are made, and where
they go, is `charlab.callbacks.diagnostics`.
"""
