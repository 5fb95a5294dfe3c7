"""Criterion-labelled data: one model in memory, a reader per file format, a report of what was read and refused."""
