"""What a run must keep: its state, checkpoints, exported models, random sources."""
