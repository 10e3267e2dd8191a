"""The compiled engine for CPUs: from a cell's program to C++ that runs a whole chunk."""
