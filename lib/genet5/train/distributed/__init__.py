"""Several processes as one run: ranks and devices, DDP and FSDP2, liveness, restarts."""
