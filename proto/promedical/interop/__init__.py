"""Reads what RL frameworks hand out: chat markup, exchanges, labels. No framework is imported."""
