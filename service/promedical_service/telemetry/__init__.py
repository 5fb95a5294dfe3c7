"""What the service tells its operators: metrics, traces, logs. Never any text of a caller."""
