"""What charlab adds to Hydra: the launchers that `-m` takes with hydra/launcher=NAME."""
