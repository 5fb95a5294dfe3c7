"""Questions as vectors: a small model on the CPU, or an endpoint."""
