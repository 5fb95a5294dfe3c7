"""Sends cases to the service, and keeps its answers in a file that survives a kill."""
