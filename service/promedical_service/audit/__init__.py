"""Audit: one record of every answered response, in JSON lines, without its text."""
