"""Grids and studies: which job comes next, learning from the scores of those before."""
