"""What a run reports: log records, metrics, throughput, memory, run.json."""
