"""The gate: what an oracle must hold before it is shipped, line by line."""
