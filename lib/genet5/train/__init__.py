"""Training: loss, loop, optimizer, checkpoints, logs."""
