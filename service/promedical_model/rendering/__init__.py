"""Prompt, responses and criteria to tokens."""
