"""Rounds of review: which rubrics physicians look at, and what their decisions say about all the others."""
