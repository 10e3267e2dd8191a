"""What happens beside training: metric rows, samples, checkpoints, the progress bar."""
