"""Corpora, the vocabulary, n-gram baselines, and the data modules that feed the model."""
