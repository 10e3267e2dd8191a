"""The engine for GPUs: from a cell's program to Triton kernels, and what launches them."""
